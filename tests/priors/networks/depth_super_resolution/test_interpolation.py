import numpy as np
import pytest
import torch
from PIL import Image

from nsr.priors.networks.depth_super_resolution.interpolation import repeat, upsample


def plane(rows, columns):
    return 2 + 0.03 * rows[:, None] - 0.05 * columns[None]


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("phase", [0.0, 0.5])
def test_planes_are_met_at_the_positions_of_the_fine_pixels(factor, phase):
    coarse = torch.arange(9, dtype=torch.float64)
    fine = (torch.arange(9 * factor, dtype=torch.float64) - phase * (factor - 1)) / factor
    inner = slice(2 * factor, -3 * factor)
    result = upsample(plane(coarse, coarse)[None, None], factor, phase)[0, 0]
    torch.testing.assert_close(result[inner, inner], plane(fine, fine)[inner, inner], rtol=0, atol=1e-12)


def test_at_the_middle_it_is_pillows_bicubic():
    coarse = torch.rand(11, 9)
    expected = torch.tensor(np.array(Image.fromarray(coarse.numpy()).resize((36, 44), Image.Resampling.BICUBIC)))
    result = upsample(coarse[None, None], 4, 0.5)[0, 0]
    # Pillow leaves taps beyond the border out, here its pixels are repeated
    torch.testing.assert_close(result[8:-8, 8:-8], expected[8:-8, 8:-8], rtol=0, atol=1e-5)


def test_at_the_first_pixel_samples_are_kept():
    coarse = torch.rand(1, 1, 6, 5)
    torch.testing.assert_close(upsample(coarse, 8, 0.0)[..., ::8, ::8], coarse, rtol=0, atol=1e-6)


def test_it_is_differentiable():
    coarse = torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: upsample(x, 2, 0.5), coarse)


def test_repeat():
    assert repeat(torch.tensor([[1, 2]]), 2).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
