import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nsr.evaluation.image_metrics import masked_psnr, masked_ssim, silhouette_iou


@pytest.fixture
def pair():
    generator = np.random.default_rng(3)
    photograph = gaussian_filter(generator.random((40, 52, 3)), (1, 1, 0)).astype(np.float32)
    rendered = (photograph + generator.normal(0, 0.05, photograph.shape)).clip(0, 1).astype(np.float32)
    mask = np.zeros((40, 52), dtype=bool)
    mask[8:31, 10:40] = True
    return rendered, photograph, mask


def test_psnr_equals_the_whole_image_formula_of_idr(pair):
    rendered, photograph, mask = pair
    error = np.mean(((rendered - photograph) * mask[..., None]) ** 2) * mask.size / mask.sum()
    assert masked_psnr(rendered, photograph, mask) == pytest.approx(-10 * np.log10(error), abs=1e-4)


def test_psnr_of_a_constant_offset_is_closed_form(pair):
    _, photograph, mask = pair
    outside_differs = np.where(mask[..., None], photograph + 0.1, 0)
    assert masked_psnr(outside_differs, photograph, mask) == pytest.approx(20.0, abs=1e-4)
    assert masked_psnr(photograph, photograph, mask) == np.inf
    assert np.isnan(masked_psnr(photograph, photograph, np.zeros_like(mask)))


def ssim_map(a, b):
    """Wang et al. 2004 with scipy: Gaussian window of sigma 1.5, population covariance, data range 1."""

    def mean(image):
        return gaussian_filter(image.astype(np.float64), (1.5, 1.5, 0), truncate=3.5)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a**2.0) - mean_a**2, mean(b**2.0) - mean_b**2
    covariance = mean(a.astype(np.float64) * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )


def test_ssim_is_the_mean_over_the_mask_of_the_published_formula(pair):
    rendered, photograph, mask = pair
    inside = mask[..., None]
    expected = ssim_map(np.where(inside, rendered, 1), np.where(inside, photograph, 1))[mask].mean()
    assert masked_ssim(rendered, photograph, mask) == pytest.approx(expected, abs=1e-5)
    assert masked_ssim(photograph, photograph, mask) == pytest.approx(1.0, abs=1e-6)
    assert np.isnan(masked_ssim(photograph, photograph, np.zeros_like(mask)))


def test_nothing_outside_the_mask_counts(pair):
    rendered, photograph, mask = pair
    spoilt = np.where(mask[..., None], rendered, 0.3)
    for metric in (masked_psnr, masked_ssim):
        assert metric(spoilt, photograph, mask) == pytest.approx(metric(rendered, photograph, mask), abs=1e-12)


@pytest.mark.parametrize(("size", "known"), [(11, True), (10, False), (5, False)])
def test_ssim_is_unknown_where_its_window_does_not_fit(size, known):
    picture, mask = np.full((size, 40, 3), 0.5), np.ones((size, 40), dtype=bool)
    assert np.isfinite(masked_ssim(picture, picture, mask)) == known


def test_iou_counts_pixels():
    a, b = np.zeros((10, 10), dtype=bool), np.zeros((10, 10), dtype=bool)
    assert silhouette_iou(a, b) == 1.0
    a[:, :6] = True
    assert silhouette_iou(a, b) == 0.0
    b[:, 3:] = True
    assert silhouette_iou(a, b) == pytest.approx(30 / 100)
