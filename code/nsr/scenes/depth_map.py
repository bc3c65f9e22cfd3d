"""What a depth map means in space: where its pixels' rays lead, and the normals of the surface that it is."""

from __future__ import annotations

import numpy as np


def pixels_at_depth_one(intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``[H, W, 3]`` float64: where the rays of all pixels are at depth 1, in the camera's frame (OpenCV); times a
    z-depth, the points that it is of.

    Args:
        intrinsics: ``[3, 3]``, skew kept; pixel (0, 0) is the first pixel's centre; size: height and width.
    """
    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    return np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics).T


def normals_of_points(points: np.ndarray) -> np.ndarray:
    """Unit normals ``[H, W, 3]``, towards the camera, of the surface that goes through the points of all pixels: the
    cross product of their central differences (one-sided at the border); 0 where that is 0.

    Args:
        points: ``[H, W, 3]`` in the camera's frame (OpenCV).
    """
    along_v, along_u = np.gradient(points, axis=(0, 1))
    normal = np.cross(along_v, along_u)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True).clip(1e-30, None)
