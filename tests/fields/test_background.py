"""The background's coordinates and field."""

import pytest
import torch

from nsr.config.schema import BackgroundConfig
from nsr.fields.background import BackgroundField, invert_sphere


def test_the_outside_of_the_sphere_becomes_a_shell():
    directions = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    for radius, wanted in ((1.0, 0.5), (2.0, 0.75), (1e6, 1.0)):
        found = invert_sphere(directions * radius)
        torch.testing.assert_close(found, directions * wanted)


def test_density_is_positive_and_all_is_differentiable():
    torch.manual_seed(0)
    field = BackgroundField(BackgroundConfig())
    points = (3 * torch.nn.functional.normalize(torch.randn(40, 3), dim=1)).requires_grad_()
    directions = torch.nn.functional.normalize(torch.randn(40, 3), dim=1)
    density, colour = field(points, directions)
    assert density.shape == (40,) and (density > 0).all()
    assert colour.shape == (40, 3)
    (density.sum() + colour.square().sum()).backward()
    assert torch.isfinite(points.grad).all() and points.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in field.parameters())
    assert len(field.table_parameters()) == 1


@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_colours_end_at_the_margin(margin):
    field = BackgroundField(BackgroundConfig(colour_margin=margin))
    points, directions = torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    for wanted in (-1 - margin, 1 + margin):
        torch.nn.init.constant_(field.colour_head.bias, 100 * wanted)
        torch.testing.assert_close(field(points, directions)[1], torch.full((1, 3), wanted))
