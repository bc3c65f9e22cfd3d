import pytest
import torch

from nsr.priors.networks.depth_super_resolution.losses import ROUNDING, stage_loss


def test_invalid_pixels_give_exactly_no_gradient():
    depth = torch.rand(2, 1, 6, 6, requires_grad=True)
    mask = (torch.rand(2, 1, 6, 6) > 0.4).float()
    truth = torch.where(mask > 0, torch.rand(2, 1, 6, 6), torch.nan)
    loss = stage_loss(depth, truth, mask)
    loss.backward()
    assert torch.isfinite(loss)
    assert not depth.grad[mask == 0].any() and depth.grad[mask > 0].all()


@pytest.mark.parametrize("error", [0.5 * ROUNDING, 0.3])
def test_it_is_the_mean_charbonnier_error_of_valid_pixels(error):
    truth, mask = torch.ones(1, 1, 4, 4, dtype=torch.float64), torch.ones(1, 1, 4, 4, dtype=torch.float64)
    mask[..., 2:] = 0
    expected = (error**2 + ROUNDING**2) ** 0.5 - ROUNDING
    assert stage_loss(truth + error, truth, mask).item() == pytest.approx(expected)
    assert stage_loss(truth + error, truth, 0 * mask).item() == 0
