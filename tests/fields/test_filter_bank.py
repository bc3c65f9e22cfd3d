"""The filter bank against the published recurrence written out in numpy, its derivatives, and its bands."""

import math

import numpy as np
import pytest
import torch

from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding

SMALL = dict(
    levels=3, features=2, log2_table=9, base_resolution=3, finest_resolution=9, amplitude=0.2, width=6, outputs=4,
    base_sigma=0.7, w0=3.0, w1=4.0,
)


def bank(name="FFB", **options):
    torch.manual_seed(0)
    return make_encoding(EncodingConfig(name, SMALL | options))


def points(count=12):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(1)) * 1.6 - 0.8


def trilinear(encoding, level, point):
    """Features of one dense level at one point."""
    layout = encoding.layout
    resolution, offset = layout.resolutions[level], layout.offsets[level]
    assert not layout.hashed(level)
    table = encoding.table.detach().numpy().astype(np.float64)
    grid = (point + encoding.bound) / (2 * encoding.bound) * layout.scales[level] + 0.5
    lower = np.floor(grid).astype(int)
    total = 0
    for corner in np.ndindex(2, 2, 2):
        x, y, z = lower + corner
        weight = np.prod([f if c else 1 - f for c, f in zip(corner, grid - lower)])
        row = (x + y * resolution + z * resolution**2) % layout.sizes[level]
        total = total + weight * table[offset + row]
    return total


def published(encoding, readout, x, bound=1.0, **settings):
    """One point at a time: the bank of the docstring, from the parameters by their names."""
    state = {name: value.detach().numpy().astype(np.float64) for name, value in encoding.state_dict().items()}
    w0, w1, levels = settings["w0"], settings["w1"], settings["levels"]
    rows = []
    for point in x.numpy().astype(np.float64):
        hidden = np.sin(w0 * (state["layers.0.weight"] @ (point / bound) + state["layers.0.bias"]))
        outputs = []
        for level in range(levels):
            band = np.sin(2 * math.pi * (trilinear(encoding, level, point) @ state["bands"][level]))
            weight, bias = state[f"layers.{level + 1}.weight"], state[f"layers.{level + 1}.bias"]
            hidden = np.sin(w0 * (weight @ hidden + bias)) + band
            outputs.append(hidden)
        if readout == "heads":
            y = sum(
                np.sin(w1 * (state[f"heads.{level}.weight"] @ h + state[f"heads.{level}.bias"]))
                for level, h in enumerate(outputs)
            )
        elif readout == "concat":
            y = (state["head.weight"] @ np.concatenate(outputs) + state["head.bias"]) / levels
        else:
            y = np.concatenate(outputs) / levels
        rows.append(np.concatenate([point, y]))
    return torch.from_numpy(np.stack(rows)).float()


@pytest.mark.parametrize("readout", ["concat", "heads", "levels"])
@pytest.mark.parametrize("bound", [1.0, 0.9])
def test_it_is_the_published_recurrence(readout, bound):
    encoding = bank(readout=readout, bound=bound, log2_table=10)
    x = points()
    expected = published(encoding, readout, x, bound, **SMALL)
    assert encoding.channels == expected.shape[1]
    torch.testing.assert_close(encoding(x), expected, rtol=1e-4, atol=1e-4)


def test_the_authors_settings_have_their_number_of_parameters():
    encoding = make_encoding(
        EncodingConfig("FFB", dict(levels=5, features=2, width=256, readout="levels", log2_table=5, base_resolution=8,
                                   finest_resolution=23))
    )
    layers = 4 * 256 + 5 * 257 * 256  # six layers of 256, the first of three coordinates
    bands = 5 * 2 * 256
    table = 5 * 32 * 2
    assert sum(parameter.numel() for parameter in encoding.parameters()) == layers + bands + table
    assert encoding.channels == 3 + 5 * 256


def test_bands_rise_with_the_level():
    encoding = bank(levels=4, features=8, width=400, base_sigma=5.0, exp_sigma=1.5)
    spreads = encoding.bands.detach().std(dim=(1, 2))
    torch.testing.assert_close(spreads, 5.0 * 1.5 ** torch.arange(4.0), rtol=0.06, atol=0)


def test_fixed_octaves_rise_with_the_level_and_are_not_trained():
    encoding = bank(bands="posenc", width=12, readout="levels")
    assert "bands" not in dict(encoding.named_parameters())
    for level in range(3):
        used = encoding.bands[level].sum(0)
        assert set(used.tolist()) == {2.0**octave for octave in range(level + 1)}
        assert (encoding.bands[level].count_nonzero(dim=0) == 1).all()
    # Sine and cosine of a feature at the coarsest level: with a table of constants they are known.
    with torch.no_grad():
        encoding.table.fill_(0.1)
        encoding.layers[1].weight.zero_()
        encoding.layers[1].bias.zero_()
    encoding.set_progress(0.0)
    bands = encoding(points(1))[0, 3:15] * 3
    wave = torch.tensor([math.sin(0.2 * math.pi)] * 2 + [math.cos(0.2 * math.pi)] * 2)
    torch.testing.assert_close(bands, wave.repeat(3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["FFB", "FFB_StyleMod"])
@pytest.mark.parametrize("readout", ["concat", "heads", "levels"])
def test_every_parameter_of_every_level_gets_a_gradient(name, readout):
    encoding = bank(name, readout=readout)
    value, jacobian = encoding.with_jacobian(points(60))
    (value.square().sum() + jacobian.square().sum()).backward()
    for parameter_name, parameter in encoding.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, parameter_name
    layout = encoding.layout
    for offset, size in zip(layout.offsets, layout.sizes):
        assert encoding.table.grad[offset : offset + size].abs().max() > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FFB", {}),
        ("FFB", {"readout": "concat", "bands": "posenc"}),
        ("FFB", {"activation": "relu"}),
        ("FFB_StyleMod", {"attention": 3}),
    ],
)
def test_jacobian_and_its_gradients_in_double_precision(name, options):
    encoding = bank(name, width=4, outputs=2, levels=2, **options).double()
    names, parameters = zip(*((n, p.detach().clone().requires_grad_(True)) for n, p in encoding.named_parameters()))
    x = points(2).double().requires_grad_(True)

    def run(x, *parameters):
        replaced = dict(zip(names, parameters))
        return torch.func.functional_call(_Jacobian(encoding), {f"encoding.{n}": p for n, p in replaced.items()}, (x,))

    _, jacobian = run(x, *parameters)
    expected = torch.autograd.functional.jacobian(lambda p: encoding(p).sum(0), x).permute(1, 0, 2)
    torch.testing.assert_close(jacobian, expected, rtol=1e-9, atol=1e-9)
    assert torch.autograd.gradcheck(run, (x, *parameters), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *parameters), fast_mode=True, atol=1e-4)


class _Jacobian(torch.nn.Module):
    """Values and Jacobian as a module's forward, so that its parameters can be put in from outside."""

    def __init__(self, encoding):
        super().__init__()
        self.encoding = encoding

    def forward(self, x):
        return self.encoding.with_jacobian(x)


def test_a_closed_level_is_not_read_out():
    encoding = bank()
    x = points()
    encoding.set_progress(0.0)
    coarse = encoding(x)
    with torch.no_grad():
        for offset, size in zip(encoding.layout.offsets[1:], encoding.layout.sizes[1:]):
            encoding.table[offset : offset + size] += 1.0
    assert torch.equal(encoding(x), coarse)
    encoding.set_progress(1.0)
    assert (encoding(x) - coarse).abs().max() > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "sum"}, "readout is 'sum'; known are concat, heads, levels"),
        ({"bands": "fixed"}, "bands is 'fixed'; known are learned, posenc"),
        ({"activation": "tanh"}, "activation is 'tanh'; known are sine, relu"),
        ({"bound": 0.0}, "bound must be positive, got 0"),
        ({"w0": -1.0}, "w0 must be positive"),
        ({"width": 0}, "width must be at least 1"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        bank(**options)


def test_it_learns_what_a_network_of_the_coordinate_alone_cannot():
    """A fine checkerboard of signs: grids see it, a small sine network of low frequency does not."""
    x = torch.rand(2000, 3, generator=torch.Generator().manual_seed(2)) * 1.8 - 0.9
    target = torch.sin(9 * x).prod(1)
    errors = {}
    for trained in (True, False):
        encoding = bank(finest_resolution=24, log2_table=14, w0=1.0, readout="levels", width=16, amplitude=1e-2)
        encoding.table.requires_grad_(trained)
        if not trained:
            with torch.no_grad():
                encoding.table.zero_()
        last = torch.nn.Linear(encoding.channels, 1)
        optimiser = torch.optim.Adam([*encoding.parameters(), *last.parameters()], lr=1e-2)
        for _ in range(150):
            optimiser.zero_grad()
            loss = (last(encoding(x)).squeeze(1) - target).square().mean()
            loss.backward()
            optimiser.step()
        errors[trained] = float(loss.detach() / target.square().mean())
    assert errors[True] < 0.1 * errors[False]
