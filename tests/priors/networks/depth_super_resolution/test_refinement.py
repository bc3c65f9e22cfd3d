import pytest
import torch

from nsr.priors.networks.depth_super_resolution.interpolation import upsample
from nsr.priors.networks.depth_super_resolution.refinement import refine_edges


@pytest.mark.parametrize("turned", [False, True])
def test_an_interpolated_step_becomes_sharp(turned):
    step = torch.full((1, 1, 40, 40), 1.0)
    step[..., 20:] = 2
    step = step.mT if turned else step
    blurred = upsample(step[..., 2::4, 2::4], 4, 0.5)
    refined = refine_edges(blurred, window=9)
    assert (refined - step).abs().mean() < 0.4 * (blurred - step).abs().mean()
    in_the_air = ((refined > 1.2) & (refined < 1.8)).sum()
    assert in_the_air == 0 and ((blurred > 1.2) & (blurred < 1.8)).any()


def test_smooth_surfaces_stay_exactly():
    rows = torch.arange(30.0)
    slope = (1 + 0.003 * rows[:, None] + 0.002 * torch.sin(rows)[None])[None, None]
    assert torch.equal(refine_edges(slope), slope)
