"""Where the cameras stand: Fibonacci sphere, ring, or path."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from nsr.scenes.cameras import Cameras


def fibonacci_sphere(count: int, elevation: float) -> np.ndarray:
    """``[count, 3]`` unit vectors spread evenly over the whole sphere (Gonzalez 2010); ``elevation`` has no say."""
    height = 1 - (2 * np.arange(count) + 1) / count
    azimuth = np.arange(count) * math.pi * (3 - math.sqrt(5))
    return _directions(azimuth, np.arcsin(height))


def ring(count: int, elevation: float) -> np.ndarray:
    """``[count, 3]`` unit vectors on a circle ``elevation`` degrees above the xy plane."""
    azimuth = np.arange(count) * (2 * math.pi / count)
    return _directions(azimuth, np.full(count, math.radians(elevation)))


def path(count: int, elevation: float) -> np.ndarray:
    """``[count, 3]`` unit vectors along a helix of three turns, from ``elevation`` degrees below to as many above."""
    progress = (np.arange(count) + 0.5) / count
    return _directions(progress * (6 * math.pi), math.radians(elevation) * (2 * progress - 1))


def _directions(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    planar = np.cos(elevation)
    return np.stack([planar * np.cos(azimuth), planar * np.sin(azimuth), np.sin(elevation)], axis=-1)


#: Layouts by name: (count, elevation in degrees) -> directions of the camera centres from the object.
LAYOUTS: dict[str, Callable[[int, float], np.ndarray]] = {"sphere": fibonacci_sphere, "ring": ring, "path": path}


def look_at_origin(centres: np.ndarray) -> np.ndarray:
    """``[V, 4, 4]`` camera-to-world poses (OpenCV axes) at ``centres [V, 3]`` that look at the origin, z up."""
    forward = -centres / np.linalg.norm(centres, axis=-1, keepdims=True)
    # Straight above or below, "up" means nothing; y serves there.
    up = np.where(np.abs(forward[:, 2:]) > 0.9999, [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    poses = np.tile(np.eye(4), (len(centres), 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
    poses[:, :3, 3] = centres
    return poses


def layout_cameras(
    layout: str, count: int, height: int, width: int, field_of_view: float, distance: float, elevation: float
) -> Cameras:
    """Cameras of a named layout, float64, normalised frame.

    Args:
        layout: a key of ``LAYOUTS``.
        count, height, width: number of views, and their size in pixels.
        field_of_view: horizontal, degrees, from the outer edge of the first pixel to that of the last.
        distance: of the camera centres from the origin.
        elevation: degrees, for the layouts that have one.
    """
    focal = width / (2 * math.tan(math.radians(field_of_view) / 2))
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    poses = look_at_origin(distance * LAYOUTS[layout](count, elevation))
    return Cameras(torch.from_numpy(np.tile(intrinsics, (count, 1, 1))), torch.from_numpy(poses))
