"""Classical filters of depth maps, to compare with: holes are left out of every window."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from nsr.priors.networks.depth_denoising.denoiser import FOCAL_BASELINE


def median_filter(depth: Tensor, size: int = 5) -> Tensor:
    """The median of the measured depths in every ``size`` x ``size`` window; holes stay.

    Args:
        depth: ``[1, H, W]`` metres, 0 in holes.
    """
    values = np.where(depth[0].numpy() > 0, depth[0].numpy(), np.nan)
    half = size // 2
    padded = np.pad(values, half, constant_values=np.nan)
    height, width = values.shape
    windows = np.stack([padded[y : y + height, x : x + width] for y in range(size) for x in range(size)])
    ordered = np.sort(windows, axis=0)  # NaN sorts last
    count = (~np.isnan(windows)).sum(0)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0)[None] // 2, 0)[0]
    return torch.from_numpy(np.where(np.isnan(values), 0, middle).astype(np.float32))[None]


def bilateral_filter(depth: Tensor, deviation: float = 0.5, size: float = 3.0) -> Tensor:
    """The bilateral filter on inverse depth, in which the noise is even; holes stay.

    Args:
        depth: ``[1, H, W]`` metres, 0 in holes.
        deviation: of inverse depth within which pixels are averaged, in pixels of disparity of a camera of 21.2 pixel
            metres; size: standard deviation of the window, pixels.
    """
    values = depth[0].numpy()
    known = values > 0
    disparity = np.where(known, FOCAL_BASELINE / np.where(known, values, 1), -1e3).astype(
        np.float32
    )  # a hole is like nothing
    smooth = cv2.bilateralFilter(disparity, -1, deviation, size)
    return torch.from_numpy(np.where(known, FOCAL_BASELINE / np.maximum(smooth, 1e-3), 0).astype(np.float32))[None]
