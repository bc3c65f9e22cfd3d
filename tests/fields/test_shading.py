"""The shading field: colour taken apart into albedo, light and a residue."""

import math

import pytest
import torch

import nsr.rendering.model  # noqa: F401  (registers every encoding)
from nsr.config.schema import EncodingConfig, RenderingNetworkConfig
from nsr.fields.encoding import make_encoding
from nsr.fields.shading import Decomposition, ShadingField
from nsr.scenes.synthetic.light import spherical_harmonics

HASH = EncodingConfig("MultiResHash", dict(levels=3, log2_table=8, base_resolution=4, finest_resolution=12))


def make_field(feature_size=3, position=None, dims=(24, 24)):
    torch.manual_seed(0)
    config = RenderingNetworkConfig(mode="shading", dims=list(dims))
    view_encoding = make_encoding(EncodingConfig("PosEnc", {"frequencies": 2}))
    return ShadingField(config, feature_size, view_encoding, make_encoding(position) if position else None)


def inputs(feature_size=3, count=30, dtype=torch.float32):
    generator = torch.Generator().manual_seed(3)
    points, directions, normals = torch.randn(3, count, 3, generator=generator, dtype=dtype).mul(0.4)
    features = torch.randn(count, feature_size, generator=generator, dtype=dtype)
    return [points, torch.nn.functional.normalize(directions, dim=1), normals, features]


def test_the_colour_is_the_product_of_its_parts():
    field = make_field()
    with torch.no_grad():
        field.harmonics.add_(0.3 * torch.randn(9, 3))
    points, directions, normals, features = inputs()
    parts = field.decompose(points, directions, normals, features)
    light = spherical_harmonics(torch.nn.functional.normalize(normals, dim=1)) @ field.harmonics
    torch.testing.assert_close(parts.shading, light)
    colour = (parts.albedo * (light + parts.residue)).clamp(0, 1)
    torch.testing.assert_close(field(points, directions, normals, features), 2 * colour - 1)
    assert (parts.albedo > 0).all() and (parts.albedo < 1).all()


def test_it_begins_under_white_light():
    field = make_field()
    normals = inputs()[2]
    torch.testing.assert_close(field.shading(normals), torch.ones(30, 3))
    torch.testing.assert_close(field.shading(7 * normals), field.shading(normals))


def test_albedo_sees_neither_normal_nor_direction_and_the_residue_no_normal():
    field = make_field()
    given = [tensor.requires_grad_() for tensor in inputs()]
    parts = field.decompose(*given)
    for part, reached in ((parts.albedo, {0, 3}), (parts.residue, {0, 1, 3}), (parts.shading, {2})):
        slopes = torch.autograd.grad(part.square().sum(), given, retain_graph=True, allow_unused=True)
        assert {index for index, slope in enumerate(slopes) if slope is not None and slope.abs().sum() > 0} <= reached
        slopes = torch.autograd.grad((part * torch.randn_like(part)).sum(), [given[index] for index in reached])
        assert all(slope.shape == given[index].shape for slope, index in zip(slopes, reached))


@pytest.mark.parametrize("position", [None, HASH], ids=["raw", "hash"])
def test_every_parameter_learns(position):
    field = make_field(position=position)
    field(*inputs()).square().sum().backward()
    for name, parameter in field.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert len(field.table_parameters()) == (1 if position else 0)


def test_first_and_second_derivatives_agree_with_differences():
    field = make_field().double()
    points, directions, normals, features = inputs(count=4, dtype=torch.float64)
    with torch.no_grad():
        field.harmonics.add_(0.3 * torch.randn(9, 3))
        rgb = field(points, directions, normals, features)
    assert rgb.abs().max() < 1  # not cut, so that differences see the slope too
    given = [tensor.requires_grad_() for tensor in (points, directions, normals, features)]
    assert torch.autograd.gradcheck(field, given)

    def of_normals(normals):
        return field(points, directions, normals, features)

    assert torch.autograd.gradgradcheck(of_normals, (normals,))

    def of_harmonics(harmonics):
        return torch.func.functional_call(field, {"harmonics": harmonics}, (points, directions, normals, features))

    assert torch.autograd.gradcheck(of_harmonics, (field.harmonics.detach().requires_grad_(),))


def test_a_colour_that_is_too_bright_learns_to_be_darker():
    shading = torch.full((1, 3), 3.0, requires_grad=True)
    rgb = Decomposition(torch.ones(1, 3), shading, torch.zeros(1, 3)).rgb
    assert (rgb == 1).all()
    (rgb - 0.5).abs().sum().backward()
    assert (shading.grad == 2).all()


def test_it_is_right_under_another_light():
    """Taught under one light with coloured, varying albedo, seen in another: relighting is a product of its parts."""
    generator = torch.Generator().manual_seed(5)
    normals = torch.nn.functional.normalize(torch.randn(1000, 3, generator=generator), dim=1)
    points, features = torch.rand(1000, 3, generator=generator) - 0.5, torch.zeros(1000, 0)
    directions = -torch.nn.functional.normalize(normals + 0.3 * torch.randn(1000, 3, generator=generator), dim=1)
    albedo = 0.5 + 0.25 * torch.sin(3 * points)
    light = torch.zeros(9, 3)
    light[0] = 0.7 * math.sqrt(4 * math.pi)
    light[1:4] = 0.4 * torch.randn(3, 3, generator=generator)
    other = light.clone()
    other[1:4] = 0.4 * torch.randn(3, 3, generator=generator)
    basis = spherical_harmonics(normals)
    target, relit = 2 * albedo * (basis @ light) - 1, 2 * albedo * (basis @ other) - 1
    assert 0 < (target + 1).min() and target.max() < 1 and relit.max() < 1
    field = make_field(feature_size=0, dims=(48,))
    optimiser = torch.optim.Adam(field.parameters(), lr=1e-2)
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 200)
        parts = field.decompose(points, directions, normals, features)
        loss = (parts.rgb - target).abs().mean() + 0.1 * parts.residue.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        learnt = field.decompose(points, directions, normals, features)
        assert (learnt.rgb - target).abs().mean() < 0.03
        # albedo and light are known up to a factor a channel
        factor = field.harmonics[0] / light[0]
        field.harmonics.copy_(other * factor)
        change = (relit - target).abs().mean()
        assert change > 0.1
        assert (field(points, directions, normals, features) - relit).abs().mean() < 0.15 * change
