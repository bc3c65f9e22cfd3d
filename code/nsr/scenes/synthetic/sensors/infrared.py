"""What the left camera of an active stereo pair records: the scene in infrared under a projector's random dots."""

from __future__ import annotations

import cv2
import numpy as np

_AMBIENT = 0.35  # of the room's share of the light; the rest is the projector's
_DOTS = 0.06  # of the projector's pixels that hold a dot


def infrared_contrast(albedo: np.ndarray, depth: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """How bright the projector's dots are, ``[H, W]`` in [0, 1]: what a matcher has to go by.

    Albedo over squared distance, relative to the median distance of what is seen; the cosine is left to the sensor,
    which multiplies by it.

    Args:
        albedo: ``[H, W]`` grey, linear, in [0, 1]; depth: ``[H, W]``, 0 where there is nothing; cosine: ``[H, W]``
            between normal and the way to the camera.
    """
    there = (depth > 0) & (cosine > 0)
    if not there.any():
        return np.zeros(depth.shape)
    middle = np.median(depth[there])
    return np.where(there, np.clip(albedo * (middle / np.where(there, depth, 1.0)) ** 2, 0, 1), 0.0)


def infrared_picture(
    albedo: np.ndarray,
    shading: np.ndarray,
    contrast: np.ndarray,
    cosine: np.ndarray,
    disparity: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """``[H, W]`` uint8: albedo under the room's light and a random dot pattern that moves with the disparity.

    Args:
        albedo, shading: ``[H, W]`` grey, linear; contrast: of ``infrared_contrast``; cosine: as there.
        disparity: ``[H, W]`` to the projector, which stands where the right camera does, pixels.
        random: of the dots, which are soft, some 2 pixels wide, and the same for equal generators.
    """
    height, width = albedo.shape
    extent = width + int(np.ceil(disparity.max(initial=0))) + 1
    dots = (random.random((height, extent)) < _DOTS).astype(np.float32)
    dots = np.clip(cv2.GaussianBlur(dots, (0, 0), 0.8) * 4, 0, 1)
    row, column = np.indices(albedo.shape, dtype=np.float32)
    # The pattern starts as far left as the largest disparity reaches.
    seen = cv2.remap(dots, column - disparity.astype(np.float32) + (extent - width - 1), row, cv2.INTER_LINEAR)
    light = _AMBIENT * albedo * shading + (1 - _AMBIENT) * contrast * np.clip(cosine, 0, 1) * seen
    return np.round(255 * np.clip(light, 0, 1)).astype(np.uint8)
