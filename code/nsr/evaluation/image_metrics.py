"""How well a rendered view agrees with its photograph."""

from __future__ import annotations

import numpy as np

SSIM_WINDOW = 11  # pixels along its side: 3.5 standard deviations to each side of the middle


def masked_psnr(rendered: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> float:
    """Peak signal-to-noise ratio over the mask's pixels alone, in dB, as IDR reports it.

    Args:
        rendered, photograph: ``[H, W, 3]`` in [0, 1]; mask: ``[H, W]`` bool.

    Returns:
        -10 log10 of the mean squared error over pixels and channels; infinite where they are equal, NaN where the
        mask is empty.
    """
    if not mask.any():
        return float("nan")
    error = np.mean((rendered[mask].astype(np.float64) - photograph[mask]) ** 2)
    return float(-10 * np.log10(error)) if error > 0 else float("inf")


def masked_ssim(rendered: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5), averaged over the mask's pixels alone.

    What is outside the mask is made white in both images first, so that a window across the silhouette compares only
    what is inside.

    Args:
        rendered, photograph: ``[H, W, 3]`` in [0, 1]; mask: ``[H, W]`` bool.

    Returns:
        1 where they are equal; NaN where the mask is empty or the window does not fit into the image.
    """
    from skimage.metrics import structural_similarity

    if not mask.any() or min(mask.shape) < SSIM_WINDOW:
        return float("nan")
    inside = mask[..., None]
    _, similarity = structural_similarity(
        np.where(inside, rendered, 1.0),
        np.where(inside, photograph, 1.0),
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(similarity[mask].mean())


def silhouette_iou(silhouette: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of two ``[H, W]`` bool silhouettes; 1 where both are empty."""
    union = np.count_nonzero(silhouette | mask)
    return float(np.count_nonzero(silhouette & mask) / union) if union else 1.0
