"""Downsizing pictures, masks and intrinsics so that they stay in agreement."""

from __future__ import annotations

import cv2
import numpy as np


def resize_picture(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``[H, W, 3]`` uint8 to ``size`` (height, width), each new pixel the mean of the area that it covers."""
    return cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``[H, W]`` bool to ``size`` (height, width): True where more than half of the new pixel's area is."""
    return cv2.resize(mask.astype(np.uint8) * 255, (size[1], size[0]), interpolation=cv2.INTER_AREA) > 127


def resize_intrinsics(intrinsics: np.ndarray, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """``[..., 3, 3]`` intrinsics of pictures of size ``old`` (height, width), for size ``new``.

    Pixel (0, 0) is the centre of the first pixel, so u' = (u + 1/2) s - 1/2 and not u s.
    """
    scale_u, scale_v = new[1] / old[1], new[0] / old[0]
    pixel_map = np.array(
        [[scale_u, 0, 0.5 * scale_u - 0.5], [0, scale_v, 0.5 * scale_v - 0.5], [0, 0, 1]], dtype=np.float64
    )
    return pixel_map @ intrinsics
