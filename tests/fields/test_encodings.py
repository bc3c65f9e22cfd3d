"""Every registered encoding keeps the contract; the positional one has its closed form."""

import pytest
import torch

from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import encoding_names, make_encoding, opening_weights

GRID = dict(levels=4, log2_table=8, base_resolution=4, finest_resolution=16)
BANK = dict(**GRID, amplitude=0.1, width=8, readout="levels", w0=5.0, base_sigma=1.0)
SMALL = {
    "FFB": BANK,
    "FFB_StyleMod": dict(**BANK, attention=4),
    "FFB_TCNN": BANK,
    "FourierFeatures": dict(count=4),
    "HashGridTcnn": dict(**GRID, amplitude=1.0),
    "MultiResHash": dict(**GRID, amplitude=1.0),
    "PosEnc": dict(frequencies=4),
    "SHEncoder": dict(degree=4),
}
LEVEL_SIZES = {"SHEncoder": [1, 3, 5, 7]}  # channels of the four levels, where they are not equal


@pytest.fixture(params=encoding_names())
def encoding(request):
    torch.manual_seed(0)
    return make_encoding(EncodingConfig(request.param, SMALL.get(request.param, {})))


def points(count=50, seed=0):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_every_registered_encoding_has_small_options_here():
    assert set(SMALL) == set(encoding_names())


def test_the_input_itself_comes_first(encoding):
    x = points()
    encoded = encoding(x)
    assert encoded.shape == (50, encoding.channels)
    assert torch.equal(encoded[:, :3], x)


def test_the_jacobian_is_autograds(encoding):
    x = points(20)
    value, jacobian = encoding.with_jacobian(x)
    torch.testing.assert_close(value, encoding(x))
    expected = torch.autograd.functional.jacobian(lambda p: encoding(p).sum(0), x).permute(1, 0, 2)
    torch.testing.assert_close(jacobian, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("progress", [0.0, 0.4, 0.9])
def test_the_jacobian_follows_the_open_levels(encoding, progress):
    encoding.set_progress(progress)
    x = points(20)
    expected = torch.autograd.functional.jacobian(lambda p: encoding(p).sum(0), x).permute(1, 0, 2)
    torch.testing.assert_close(encoding.with_jacobian(x)[1], expected, rtol=1e-4, atol=1e-4)


def test_levels_open_coarse_to_fine_and_stay_open(request, encoding):
    x = points()
    full = encoding(x).abs().sum(0)
    shares = []
    for progress in (0.0, 0.25, 0.5, 0.75, 1.0):
        encoding.set_progress(progress)
        shares.append(encoding(x).abs().sum(0) / full)
    shares = torch.stack(shares)
    assert torch.equal(shares[:, :3], torch.ones(5, 3))
    assert (shares[1:] >= shares[:-1] - 1e-6).all()
    torch.testing.assert_close(shares[-1], torch.ones_like(full))
    quarter = (encoding.channels - 3) // 4
    sizes = LEVEL_SIZES.get(request.node.callspec.params["encoding"], [quarter] * 4)
    coarsest, *finer = shares[0, 3:].split(sizes)
    torch.testing.assert_close(coarsest, torch.ones_like(coarsest))
    assert torch.cat(finer).abs().max() < 1e-6


def test_no_points_are_encoded_to_no_features(encoding):
    value, jacobian = encoding.with_jacobian(points(0))
    assert value.shape == (0, encoding.channels) and jacobian.shape == (0, encoding.channels, 3)
    assert encoding(points(0)).shape == (0, encoding.channels)


def test_opening_weights_are_ordered():
    for progress in torch.linspace(0, 1, 21).tolist():
        weights = opening_weights(progress, 6)
        assert ((weights >= 0) & (weights <= 1)).all() and (weights[:-1] >= weights[1:] - 1e-6).all()


@pytest.mark.parametrize(("frequencies", "channels"), [(6, 39), (4, 27), (0, 3)])
def test_positional_encoding_has_idrs_sizes_and_its_closed_form(frequencies, channels):
    encoding = make_encoding(EncodingConfig("PosEnc", {"frequencies": frequencies}))
    x = points().double()
    encoding.double()
    expected = [x]
    for octave in range(frequencies):
        expected += [torch.sin(2**octave * x), torch.cos(2**octave * x)]
    assert encoding.channels == channels
    torch.testing.assert_close(encoding(x), torch.cat(expected, dim=1))


def test_the_hash_grid_covers_its_bound():
    encoding = make_encoding(EncodingConfig("MultiResHash", SMALL["MultiResHash"] | {"bound": 0.5}))
    inside, beyond = torch.tensor([[0.5, 0.1, -0.5]]), torch.tensor([[0.9, 0.1, -0.7]])
    assert torch.equal(encoding(inside)[:, 3:], encoding(beyond)[:, 3:])
    wide = make_encoding(EncodingConfig("MultiResHash", SMALL["MultiResHash"]))
    wide.load_state_dict(encoding.state_dict())
    torch.testing.assert_close(wide(2 * inside)[:, 3:], encoding(inside)[:, 3:])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("MultiResHsh", {}, "unknown encoding 'MultiResHsh'; did you mean 'MultiResHash'.*Known are: .*PosEnc"),
        ("PosEnc", {"octaves": 3}, "encoding PosEnc: unknown option octaves; it has: frequencies"),
        ("MultiResHash", {"level": 3}, "encoding MultiResHash: unknown option level; did you mean levels[?]"),
        (
            "FFB_StyleMod",
            {"basesigma": 3},
            "unknown option basesigma; did you mean base_sigma[?] .*: attention, levels, ",
        ),
        ("PosEnc", {"frequencies": -1}, "encoding PosEnc: frequencies must be at least 0, got -1"),
        ("MultiResHash", {"bound": 0.0}, "encoding MultiResHash: bound must be positive"),
        ("MultiResHash", {"levels": 0}, "encoding MultiResHash: levels must be at least 1"),
    ],
)
def test_what_cannot_be_built_is_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_encoding(EncodingConfig(name, options))


def test_a_hash_grid_of_directions_in_the_plane_is_refused():
    with pytest.raises(ConfigError, match="encodes 3 coordinates, not 2"):
        make_encoding(EncodingConfig("MultiResHash", SMALL["MultiResHash"]), input_dim=2)


def test_every_level_that_opens_shows_in_the_features(encoding):
    x = points(20)
    features = []
    for level in range(encoding.levels):
        encoding.set_progress(level / max(encoding.levels - 1, 1))
        features.append(encoding(x).detach().clone())
    for coarser, finer in zip(features, features[1:], strict=False):
        assert not torch.equal(coarser, finer)
    encoding.set_progress(0.0)
    alone = encoding(x).detach()
    encoding.set_progress(1.0)
    assert torch.equal(alone, encoding(x).detach()) == (encoding.levels == 1)
