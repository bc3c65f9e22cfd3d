"""The radiance field's modes."""

import pytest
import torch

import nsr.rendering.model  # noqa: F401  (registers every encoding)
from nsr.config.schema import EncodingConfig, RenderingNetworkConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding
from nsr.fields.radiance import RadianceField, bounded_colour, reflected

HASH = EncodingConfig("MultiResHash", dict(levels=3, log2_table=8, base_resolution=4, finest_resolution=12))


def make_field(mode="idr", feature_size=5, position=None, **options):
    torch.manual_seed(0)
    config = RenderingNetworkConfig(mode=mode, dims=[24, 24], **options)
    view_encoding = make_encoding(EncodingConfig("PosEnc", {"frequencies": 2}))
    return RadianceField(config, feature_size, view_encoding, make_encoding(position) if position else None)


def inputs(feature_size=5, count=40):
    generator = torch.Generator().manual_seed(3)
    points, directions, normals = torch.randn(3, count, 3, generator=generator).mul(0.4)
    features = torch.randn(count, feature_size, generator=generator)
    return [points, torch.nn.functional.normalize(directions, dim=1), normals, features]


MODES = {
    "idr": ("idr", 5), "no_view_dir": ("no_view_dir", 5), "no_normal": ("no_normal", 5), "no feature": ("idr", 0),
    "reflection": ("reflection", 5),
}  # fmt: skip
LEFT_OUT = {"idr": None, "no_view_dir": 1, "no_normal": 2, "no feature": 3, "reflection": None}


@pytest.mark.parametrize("position", [None, HASH], ids=["raw", "hash"])
@pytest.mark.parametrize("name", MODES)
def test_each_mode_trains_every_parameter_and_leaves_out_one_input(name, position):
    mode, feature_size = MODES[name]
    field = make_field(mode, feature_size, position)
    given = [tensor.requires_grad_() for tensor in inputs(feature_size)]
    rgb = field(*given)
    assert rgb.shape == (40, 3) and (rgb.abs() <= 1).all()
    rgb.square().sum().backward()
    for parameter_name, parameter in field.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
    for index, tensor in enumerate(given):
        reached = tensor.grad is not None and bool(tensor.grad.abs().sum() > 0)
        assert reached == (index != LEFT_OUT[name])


@pytest.mark.parametrize("margin", [0.0, 0.2])
def test_colours_follow_tanh_to_the_margin(margin):
    values = torch.linspace(-30, 30, 61, dtype=torch.float64)
    torch.testing.assert_close(bounded_colour(values, margin), (1 + margin) * torch.tanh(values))
    field = make_field("idr", colour_margin=margin)
    for wanted in (-1 - margin, 1 + margin):
        torch.nn.init.constant_(field.lin2.bias, 100 * wanted)
        torch.testing.assert_close(field(*inputs()), torch.full((40, 3), wanted))


@pytest.mark.parametrize(("margin", "learnt"), [(0.0, False), (0.5, True)])
def test_spots_of_a_channel_that_the_object_lacks_are_learnt_with_a_margin(margin, learnt):
    field = make_field("idr", 5, HASH, colour_margin=margin)
    given = inputs(count=2000)
    spots = given[0].norm(dim=1) < 0.35  # an eighth of the points
    target = torch.sin(3 * given[0])
    target[:, 0] = torch.where(spots, 0.3, -1.0)
    optimiser = torch.optim.Adam(field.parameters(), lr=1e-2)
    for _ in range(400):
        optimiser.zero_grad()
        (field(*given) - target).abs().mean().backward()
        optimiser.step()
    with torch.no_grad():
        rgb = field(*given)
    error = (rgb - target)[:, 0].abs()
    assert (error[spots].mean() < 0.5) == learnt
    assert error[~spots].mean() < 0.1


@pytest.mark.parametrize("name", MODES)
def test_each_mode_learns_a_colour(name):
    mode, feature_size = MODES[name]
    field = make_field(mode, feature_size)
    given = inputs(feature_size)
    target = torch.sin(3 * given[0])
    optimiser = torch.optim.Adam(field.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = (field(*given) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_a_mirror_keeps_what_runs_along_it_and_turns_round_what_runs_across():
    _, directions, normals, _ = inputs()
    out = reflected(directions, normals)
    unit = torch.nn.functional.normalize(normals, dim=1)
    across = (directions * unit).sum(1, keepdim=True)
    torch.testing.assert_close((out * unit).sum(1, keepdim=True), -across)
    torch.testing.assert_close(out + across * unit, directions - across * unit)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(len(out)))
    torch.testing.assert_close(reflected(out, normals), directions)
    double = [tensor[:4].double().requires_grad_() for tensor in (directions, normals)]
    assert torch.autograd.gradcheck(reflected, double)


def test_highlights_of_a_far_lamp_are_learnt_where_they_were_not_seen():
    """A ball under one lamp, seen from one half of all directions and asked for from the other."""
    generator = torch.Generator().manual_seed(5)
    normals, directions = torch.nn.functional.normalize(torch.randn(2, 6000, 3, generator=generator), dim=2)
    directions = torch.where((directions * normals).sum(1, keepdim=True) > 0, -directions, directions)
    lamp = torch.nn.functional.normalize(torch.tensor([0.5, 0.3, 0.8]), dim=0)
    colour = (reflected(directions, normals) @ lamp).clamp_min(0).pow(8).unsqueeze(1).expand(-1, 3) - 0.5
    seen = directions[:, 0] > 0
    given = [0.6 * normals, directions, normals, torch.zeros(6000, 5)]
    errors = {}
    for mode in ("idr", "reflection"):
        field = make_field(mode)
        optimiser = torch.optim.Adam(field.parameters(), lr=5e-3)
        for _ in range(200):
            loss = (field(*(tensor[seen] for tensor in given)) - colour[seen]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            errors[mode] = float((field(*(tensor[~seen] for tensor in given)) - colour[~seen]).square().mean())
    assert errors["reflection"] < 0.5 * errors["idr"], errors


def test_without_directions_nothing_is_reflected():
    field, given = make_field("reflection"), inputs()
    other = [given[0], given[1].flip(0), *given[2:]]
    assert not torch.allclose(field(*given), field(*other))
    field.view_dependent = False
    torch.testing.assert_close(field(*given), field(*other))


def test_reflected_directions_come_in_with_the_levels():
    field, given = make_field("reflection", reflection_from=0.3, weight_norm=False), inputs()
    whole, channels = field(*given), field.view_encoding.channels
    field.set_progress(0.3)
    (gradient,) = torch.autograd.grad(field(*given).sum(), field.lin0.weight)
    seen = gradient.abs().sum(0) > 0
    point_and_view, mirror, normal_and_features = seen.split([3 + channels, channels, 3 + 5])
    assert point_and_view.all() and not mirror.any() and normal_and_features.all()
    field.set_progress(0.35)
    assert field.reflection_weight == pytest.approx(0.5)
    field.set_progress(1.0)
    torch.testing.assert_close(field(*given), whole)


def test_tables_are_told_apart_from_networks():
    field = make_field(position=HASH)
    assert [id(p) for p in field.table_parameters()] == [id(field.position_encoding.table)]
    assert make_field().table_parameters() == []


def test_only_the_positions_open_level_by_level():
    field, given = make_field(position=HASH), inputs()
    full = field.position_encoding(given[0])
    field.set_progress(0.0)
    assert (field.position_encoding(given[0])[:, -2:] == 0).all() and full[:, -2:].abs().sum() > 0
    assert torch.equal(field.view_encoding.weights, torch.ones(2))


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match="mode is 'ird'; known are idr, no_view_dir, no_normal, reflection"):
        make_field("ird")
