"""Pictures at several resolutions, against written-out interpolation."""

import numpy as np
import pytest
import torch

from nsr.rendering.image_pyramid import ImagePyramid


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    sizes = [(24, 31), (17, 20)]
    images = [torch.randint(0, 256, (*size, 3), generator=generator, dtype=torch.uint8) for size in sizes]
    return images, [torch.ones(size, dtype=torch.bool) for size in sizes]


def grey_of(image):
    return np.clip(np.round(image.numpy() @ np.array([0.299, 0.587, 0.114])), 1, 255)


def bilinear(grid, u, v):
    column, row = int(np.floor(u)), int(np.floor(v))
    x, y = u - column, v - row
    return (
        (1 - x) * (1 - y) * grid[row, column] + x * (1 - y) * grid[row, column + 1]
        + (1 - x) * y * grid[row + 1, column] + x * y * grid[row + 1, column + 1]
    )  # fmt: skip


def test_samples_are_bilinear_in_each_view(pictures):
    pyramid = ImagePyramid(*pictures, levels=2)
    pixels = torch.rand(2, 50, 2, dtype=torch.float64) * torch.tensor([18.9, 15.9])
    values, inside = pyramid.sample(torch.tensor([1, 0]), torch.zeros(2, dtype=torch.int64), pixels)
    assert inside.all() and values.shape == (2, 50, 1)
    for row, view in enumerate((1, 0)):
        grid = grey_of(pictures[0][view])
        expected = [bilinear(grid, u, v) for u, v in pixels[row].tolist()]
        np.testing.assert_allclose(values[row, :, 0].numpy(), expected, atol=1e-9)


def test_colours_keep_their_channels(pictures):
    values, _ = ImagePyramid(*pictures, levels=1, colour=True).sample(
        torch.tensor([0]), torch.tensor([0]), torch.tensor([[[7.0, 3.0]]])
    )
    assert values[0, 0].tolist() == pictures[0][0][3, 7].clamp_min(1).tolist()


def test_a_ramp_is_the_same_ramp_on_every_level():
    """Coarser pixels lie where their four finer ones do: brightness is linear in the position on all levels."""
    v, u = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    image = (2 * u + v + 20).to(torch.uint8).unsqueeze(-1).expand(64, 64, 3)
    pyramid = ImagePyramid([image], [torch.ones(64, 64, dtype=torch.bool)], levels=4)
    pixels = torch.tensor([[[20.0, 30.0], [33.5, 12.25], [40.0, 41.0]]])
    for level in range(4):
        values, inside = pyramid.sample(torch.tensor([0]), torch.tensor([level]), pixels)
        assert inside.all()
        torch.testing.assert_close(values[0, :, 0], 2 * pixels[0, :, 0] + pixels[0, :, 1] + 20, atol=0.6, rtol=0)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_what_touches_the_frame_or_the_mask_is_outside(pictures, level):
    images, masks = pictures
    masks[0][:, 16:] = False
    pyramid = ImagePyramid(images, masks, levels=3)
    size = 2**level
    last = 16 - size / 2 - 0.5  # centre of the last coarse pixel that lies on the object whole
    first = (size - 1) / 2
    rows = {"inside": 10.0, "above": first - 0.1, "below": 24 - size / 2 - 0.5 + 0.1, "nowhere": float("nan")}
    cases = {
        (last - 0.1, "inside"): True, (last + 0.1, "inside"): False, (first + 0.1, "inside"): True,
        (first - 0.1, "inside"): False, (5.0, "above"): False, (5.0, "below"): False, (5.0, "nowhere"): False,
        (1e30, "inside"): False, (-1e30, "inside"): False,
    }  # fmt: skip
    pixels = torch.tensor([[[u, rows[row]] for u, row in cases]], dtype=torch.float64)
    values, inside = pyramid.sample(torch.tensor([0]), torch.tensor([level]), pixels)
    assert inside[0].tolist() == list(cases.values())
    assert values[pixels.isfinite().all(-1)].isfinite().all()


def test_slopes_are_those_of_finite_differences(pictures):
    pyramid = ImagePyramid(*pictures, levels=2, colour=True)
    views, levels = torch.tensor([0, 1]), torch.tensor([0, 1])
    generator = torch.Generator().manual_seed(1)
    pixels = (2 + 12 * torch.rand(2, 9, 2, dtype=torch.float64, generator=generator)).requires_grad_()
    assert torch.autograd.gradcheck(lambda at: pyramid.sample(views, levels, at)[0], (pixels,), eps=1e-7)


def test_pictures_smaller_than_their_coarsest_level_have_nothing_on_it():
    pyramid = ImagePyramid(
        [torch.full((3, 2, 3), 9, dtype=torch.uint8)], [torch.ones(3, 2, dtype=torch.bool)], levels=4
    )
    _, inside = pyramid.sample(torch.tensor([0]), torch.tensor([3]), torch.tensor([[[1.0, 1.0]]]))
    assert not inside.any()
