import numpy as np
import pytest

from nsr.priors.networks.shape_from_shading.oracle import image_aligned_rmse, window_aligned_rmse


@pytest.fixture
def truth():
    return np.random.default_rng(0).normal(0.3, 2.0, (80, 90))


def test_a_scaled_and_shifted_truth_has_no_aligned_error(truth):
    mask = np.ones(truth.shape, dtype=bool)
    assert image_aligned_rmse(0.01 * truth - 5, truth, mask) == pytest.approx(0, abs=1e-9)
    assert window_aligned_rmse(0.01 * truth - 5, truth, mask) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.8, 0.99])
def test_a_prediction_scores_by_its_correlation_alone(truth, correlation):
    """sqrt(2 - 2 rho) of the truth's deviation, whatever its scale."""
    other = np.random.default_rng(1).standard_normal(truth.shape)
    unit = (truth - truth.mean()) / truth.std()
    other -= other.mean() + (other * unit).mean() * unit
    predicted = correlation * unit + np.sqrt(1 - correlation**2) * other / other.std()
    error = image_aligned_rmse(1000 * predicted, truth, np.ones(truth.shape, dtype=bool))
    assert error == pytest.approx(np.sqrt(2 - 2 * correlation) * truth.std(), rel=1e-6)


def test_windows_forgive_a_scale_that_varies_slowly_and_images_do_not(truth):
    mask = np.ones(truth.shape, dtype=bool)
    varying = truth * np.linspace(0.5, 1.5, truth.shape[1])
    assert window_aligned_rmse(varying, truth, mask) < 0.5 * image_aligned_rmse(varying, truth, mask)


def test_nothing_outside_the_mask_counts(truth):
    mask = np.zeros(truth.shape, dtype=bool)
    mask[10:70, 20:80] = True
    predicted = truth + np.random.default_rng(2).normal(size=truth.shape)
    spoilt = np.where(mask, predicted, 1e5)
    for error in (image_aligned_rmse, window_aligned_rmse):
        assert error(spoilt, truth, mask) == pytest.approx(error(predicted, truth, mask), rel=1e-9)
        assert np.isnan(error(predicted, truth, np.zeros_like(mask)))


def test_a_window_equals_the_same_done_pixel_by_pixel(truth):
    predicted = truth + np.random.default_rng(3).normal(size=truth.shape)
    mask = np.random.default_rng(4).random(truth.shape) > 0.3
    errors = []
    for v in range(truth.shape[0]):
        for u in range(truth.shape[1]):
            area = slice(max(v - 4, 0), v + 5), slice(max(u - 4, 0), u + 5)
            inside = mask[area]
            if not mask[v, u] or inside.sum() <= 0.5 * 81:
                continue
            given, wanted = predicted[area][inside], truth[area][inside]
            aligned = (predicted[v, u] - given.mean()) * wanted.std() / given.std() + wanted.mean()
            errors.append(aligned - truth[v, u])
    assert window_aligned_rmse(predicted, truth, mask, window=9) == pytest.approx(np.sqrt(np.mean(np.square(errors))))


def test_a_flat_prediction_has_no_scale_to_set(truth):
    mask = np.ones(truth.shape, dtype=bool)
    assert image_aligned_rmse(np.zeros_like(truth), truth, mask) == pytest.approx(truth.std())
