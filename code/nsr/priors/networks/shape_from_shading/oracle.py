"""Errors of a residual once the truth has been used to correct its mean and scale.

The published evaluation gives its network the true mean and standard deviation of every image.  Such an error measures
shape alone: a network whose output correlates with the truth by rho scores sqrt(2 - 2 rho) of the truth's deviation,
whatever its scale.  It is reported beside the raw error and never instead of it.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

WINDOW = 49  # pixels along its side
LEAST_VALID = 0.5  # of a window


def image_aligned_rmse(predicted: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """RMSE over the mask after mean and standard deviation over the mask have been set to the truth's.

    Args:
        predicted, truth: ``[H, W]`` in one unit, which is the result's; mask: ``[H, W]`` bool.

    Returns:
        NaN where the mask is empty.  A constant prediction keeps its scale: only its mean is set.
    """
    if not mask.any():
        return float("nan")
    given, wanted = predicted[mask].astype(np.float64), truth[mask].astype(np.float64)
    scale = wanted.std() / given.std() if given.std() > 0 else 1.0
    return float(np.sqrt(np.mean(((given - given.mean()) * scale + wanted.mean() - wanted) ** 2)))


def window_aligned_rmse(
    predicted: np.ndarray, truth: np.ndarray, mask: np.ndarray, window: int = WINDOW, least_valid: float = LEAST_VALID
) -> float:
    """RMSE after each pixel has been corrected with mean and deviation of the window about it.

    Only pixels whose window holds more than ``least_valid`` valid ones count; NaN where there is none.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(np.where(mask, values, 0).astype(np.float64), window, mode="constant") / share

    share = uniform_filter(mask.astype(np.float64), window, mode="constant")
    counted = mask & (share > least_valid)
    share = np.maximum(share, 1e-12)
    if not counted.any():
        return float("nan")
    given, wanted = mean(predicted), mean(truth)
    given_deviation, wanted_deviation = (
        np.sqrt(np.maximum(mean(values.astype(np.float64) ** 2) - middle**2, 0))
        for values, middle in ((predicted, given), (truth, wanted))
    )
    scale = np.divide(wanted_deviation, given_deviation, out=np.ones_like(given), where=given_deviation > 1e-9)
    error = (predicted - given) * scale + wanted - truth
    return float(np.sqrt(np.mean(error[counted] ** 2)))
