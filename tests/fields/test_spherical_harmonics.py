"""Spherical harmonics against scipy's, and against what makes them harmonic and homogeneous."""

import math

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding
from nsr.scenes.synthetic.light import spherical_harmonics


def encoder(degree):
    return make_encoding(EncodingConfig("SHEncoder", {"degree": degree})).double()


def unit_vectors(count=200):
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1)


def scipys(directions, degree):
    """Real harmonics from scipy's complex ones, whose Condon-Shortley phase is taken off."""
    x, y, z = directions.numpy().T
    polar, azimuth = np.arccos(z), np.arctan2(y, x)
    columns = []
    for band in range(degree):
        for m in range(-band, band + 1):
            value = sph_harm_y(band, abs(m), polar, azimuth) * (-1) ** m
            columns.append(value.real if m == 0 else math.sqrt(2) * (value.imag if m < 0 else value.real))
    return torch.from_numpy(np.stack(columns, axis=1))


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_on_directions_they_are_the_real_spherical_harmonics(degree):
    directions = unit_vectors()
    encoded = encoder(degree)(directions)
    assert encoded.shape == (200, 3 + degree**2)
    # The coefficients are kept in single precision.
    torch.testing.assert_close(encoded[:, 3:], scipys(directions, degree), rtol=1e-5, atol=1e-6)


def test_the_light_of_synthetic_scenes_has_the_same_order_and_signs():
    directions = unit_vectors().float()
    encoded = make_encoding(EncodingConfig("SHEncoder", {"degree": 3}))(directions)[:, 3:]
    torch.testing.assert_close(encoded, spherical_harmonics(directions), rtol=1e-4, atol=1e-5)


def test_away_from_the_sphere_they_grow_with_the_power_of_their_band():
    directions = unit_vectors(50)
    bands = torch.arange(5).repeat_interleave(2 * torch.arange(5) + 1)
    expected = encoder(5)(directions)[:, 3:] * 0.3**bands
    torch.testing.assert_close(encoder(5)(0.3 * directions)[:, 3:], expected, rtol=1e-6, atol=1e-9)


def test_they_are_harmonic():
    x = (unit_vectors(6) * 0.7).requires_grad_(True)
    _, jacobian = encoder(5).with_jacobian(x)
    for channel in range(3, jacobian.shape[1]):
        laplacian = sum(
            torch.autograd.grad(jacobian[:, channel, axis].sum(), x, retain_graph=True)[0][:, axis]
            for axis in range(3)
        )
        assert laplacian.abs().max() < 1e-5


@pytest.mark.parametrize("degree", [0, 6])
def test_other_degrees_are_refused(degree):
    with pytest.raises(ConfigError, match=f"degree must be 1 to 5, got {degree}"):
        encoder(degree)


def test_directions_in_the_plane_are_refused():
    with pytest.raises(ConfigError, match="functions of 3 coordinates, not 2"):
        make_encoding(EncodingConfig("SHEncoder", {}), input_dim=2)
