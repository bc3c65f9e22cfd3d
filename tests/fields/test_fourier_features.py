"""Random Fourier features: their closed form, their kernel, and a matrix that checkpoints keep."""

import math

import pytest
import torch

from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding


def encoder(input_dim=3, **options):
    torch.manual_seed(0)
    return make_encoding(EncodingConfig("FourierFeatures", options), input_dim)


def test_the_closed_form():
    encoding = encoder(count=5, sigma=2.0)
    x = torch.rand(20, 3) * 2 - 1
    encoded = encoding(x)
    assert encoded.shape == (20, encoding.channels) == (20, 13)
    for index, row in enumerate(encoding.matrix):
        phase = 2 * math.pi * (x * row).sum(1)
        torch.testing.assert_close(encoded[:, 3 + 2 * index], phase.sin(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoded[:, 4 + 2 * index], phase.cos(), rtol=1e-4, atol=1e-5)


def test_inner_products_are_a_gaussian_kernel():
    # The mean of cos(2 pi b . d) over Gaussian b is exp(-2 pi^2 sigma^2 |d|^2).
    sigma = 0.3
    encoding = encoder(count=40_000, sigma=sigma)
    x, shifts = torch.zeros(5, 3), torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8])
    shifted = torch.stack([shifts * 0.6, shifts * 0, shifts * 0.8], dim=1)
    kernel = (encoding(x)[:, 3:] * encoding(shifted)[:, 3:]).sum(1) / 40_000
    torch.testing.assert_close(kernel, torch.exp(-2 * (math.pi * sigma * shifts) ** 2), rtol=0, atol=0.02)


def test_frequencies_open_from_low_to_high():
    lengths = encoder(count=50).matrix.norm(dim=1)
    assert (lengths[1:] >= lengths[:-1]).all()


def test_the_matrix_is_no_parameter_but_is_kept():
    encoding = encoder(count=4)
    assert not list(encoding.parameters())
    torch.manual_seed(1)
    other = make_encoding(EncodingConfig("FourierFeatures", {"count": 4}))
    x = torch.rand(3, 3)
    assert not torch.equal(other(x), encoding(x))
    other.load_state_dict(encoding.state_dict())
    assert torch.equal(other(x), encoding(x))


def test_inputs_of_other_dimensions():
    encoding = encoder(input_dim=2, count=3)
    value, jacobian = encoding.with_jacobian(torch.rand(7, 2))
    assert value.shape == (7, 8) and jacobian.shape == (7, 8, 2)


@pytest.mark.parametrize(("options", "message"), [({"count": 0}, "count must be"), ({"sigma": -1.0}, "sigma must be")])
def test_impossible_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        encoder(**options)
