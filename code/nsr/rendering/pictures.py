"""Renders as pictures that a person can read."""

from __future__ import annotations

import cv2
import numpy as np

from nsr.scenes.pictures import as_uint8


def normal_picture(normal: np.ndarray, hit: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """``[H, W, 3]`` uint8 picture of normals in the camera's frame: red right, green up, blue towards the camera.

    Args:
        normal: ``[H, W, 3]`` unit, normalised frame; hit: ``[H, W]``, white elsewhere; rotation: ``[3, 3]``
            camera-to-world.
    """
    in_camera = normal @ rotation * [1, -1, -1]
    return as_uint8(np.where(hit[..., None], (in_camera + 1) / 2, 1.0))


def depth_picture(depth: np.ndarray, hit: np.ndarray, nearest: float, farthest: float) -> np.ndarray:
    """``[H, W, 3]`` uint8 picture of depths: yellow at ``nearest``, dark blue at ``farthest`` and beyond.

    Args:
        depth: ``[H, W]``; hit: ``[H, W]``, white elsewhere.
    """
    closeness = as_uint8((farthest - depth) / max(farthest - nearest, 1e-9))
    coloured = cv2.applyColorMap(closeness, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(hit[..., None], coloured, np.uint8(255))
