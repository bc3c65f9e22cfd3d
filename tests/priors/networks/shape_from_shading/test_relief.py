import numpy as np
import pytest

from nsr.priors.networks.shape_from_shading.relief import KINDS, texture, waves

WAVELENGTH, STEEPNESS = (0.003, 0.012), (0.02, 0.08)
X, Y = np.meshgrid(np.arange(0, 0.1, 0.0003), np.arange(0, 0.1, 0.0003))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_seeded_and_differs_from_draw_to_draw(kind):
    heights = [KINDS[kind](np.random.default_rng(seed), WAVELENGTH, STEEPNESS)(X, Y) for seed in (3, 3, 4)]
    assert np.array_equal(heights[0], heights[1])
    assert np.abs(heights[0] - heights[2]).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_finer_than_a_grid_and_of_the_height_that_is_asked_for(kind):
    for seed in range(4):
        height = KINDS[kind](np.random.default_rng(seed), WAVELENGTH, STEEPNESS)(X, Y)
        assert 1e-5 < height.std() < 5 * STEEPNESS[1] * WAVELENGTH[1]
        window = np.outer(np.hanning(len(X)), np.hanning(X.shape[1]))
        spectrum = np.abs(np.fft.rfft2((height - height.mean()) * window)) ** 2
        frequency = np.hypot(np.fft.fftfreq(len(X), 0.0003)[:, None], np.fft.rfftfreq(X.shape[1], 0.0003)[None])
        assert spectrum[frequency < 1 / 0.03].sum() < 0.35 * spectrum.sum()


def test_one_wave_is_a_sinusoid_of_its_wavelength_and_steepness():
    height = waves(np.random.default_rng(0), (0.008, 0.008), (0.05, 0.05), 1)(X, Y)
    assert height.max() == pytest.approx(0.05 * 0.008, rel=1e-2)
    gradient = np.hypot(*np.gradient(height, 0.0003))
    assert gradient.max() == pytest.approx(2 * np.pi * 0.05, rel=0.02)


def test_texture_has_the_contrast_that_is_asked_for():
    plain = texture(np.random.default_rng(0), (64, 96), 0.0, 0.0)
    assert plain.shape == (64, 96) and np.ptp(plain) == 0
    mottled = texture(np.random.default_rng(0), (64, 96), 0.05, 0.0)
    assert np.log(mottled).std() == pytest.approx(0.05, rel=1e-3)
    patched = texture(np.random.default_rng(0), (64, 96), 0.0, 0.5)
    assert len(np.unique(patched)) == 2
