import pytest
import torch

from nsr.priors.networks.depth_super_resolution.losses import LEAST_SPREAD, spread, stage_loss


def test_invalid_pixels_give_exactly_no_gradient():
    depth = torch.rand(2, 1, 6, 6, requires_grad=True)
    mask = (torch.rand(2, 1, 6, 6) > 0.4).float()
    truth = torch.where(mask > 0, torch.rand(2, 1, 6, 6), torch.nan)
    loss = stage_loss(depth, truth, mask, torch.full((2, 1, 1, 1), 0.3))
    loss.backward()
    assert torch.isfinite(loss)
    assert not depth.grad[mask == 0].any() and depth.grad[mask > 0].all()


def test_it_is_the_mean_square_in_units_of_the_scale():
    truth, mask = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    mask[..., 2:] = 0
    assert stage_loss(truth + 0.3, truth, mask, torch.tensor(0.1).view(1, 1, 1, 1)).item() == pytest.approx(9, rel=1e-5)
    assert stage_loss(truth, truth, 0 * mask, torch.ones(1, 1, 1, 1)).item() == 0


def test_spread_is_the_deviation_of_valid_depths():
    low = torch.rand(3, 1, 8, 8, dtype=torch.float64)
    mask = (torch.rand(3, 1, 8, 8) > 0.3).double()
    for index in range(3):
        expected = (low[index][mask[index] > 0].var(correction=0) + LEAST_SPREAD**2).sqrt()
        assert spread(low * mask, mask)[index].item() == pytest.approx(expected.item())
    assert spread(0 * low, 0 * mask)[0].item() == pytest.approx(LEAST_SPREAD)
