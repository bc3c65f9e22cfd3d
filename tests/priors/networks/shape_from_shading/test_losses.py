import pytest
import torch

from nsr.priors.networks.shape_from_shading.losses import masked_absolute, masked_slope


@pytest.mark.parametrize("loss", [masked_absolute, masked_slope])
def test_an_invalid_pixel_has_exactly_no_gradient_and_any_value(loss):
    torch.manual_seed(1)
    mask = (torch.rand(2, 1, 9, 9) > 0.3).float()
    difference = torch.randn(2, 1, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(difference, mask), difference)
    assert (gradient[mask == 0] == 0).all()
    assert (gradient[mask == 1] != 0).float().mean() > 0.5
    spoilt = torch.where(mask > 0, difference, torch.full_like(difference, 1e6))
    assert loss(spoilt, mask) == loss(difference, mask)


def test_values_on_a_ramp_are_closed_form():
    columns = torch.arange(8.0).expand(1, 1, 6, 8)
    mask = torch.ones(1, 1, 6, 8)
    mask[..., 4:] = 0
    assert masked_absolute(0.5 * columns, mask) == pytest.approx(0.75)
    assert masked_slope(0.5 * columns, mask) == pytest.approx(0.5 * 3 / 4)
    assert masked_slope(0.5 * columns.transpose(-1, -2), torch.ones(1, 1, 8, 6)) == pytest.approx(0.5 * 7 / 8)


def test_an_empty_mask_costs_nothing():
    empty = torch.zeros(1, 1, 4, 4)
    assert masked_absolute(torch.ones(1, 1, 4, 4), empty) == 0
    assert masked_slope(torch.randn(1, 1, 4, 4), empty) == 0
