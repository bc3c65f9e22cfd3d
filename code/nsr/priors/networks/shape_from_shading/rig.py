"""The rig: where camera, lamp and projector are, and what a depth map means in space."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nsr.scenes.depth_map import normals_of_points


@dataclass(frozen=True)
class Rig:
    """A camera with a lamp for the shading image and a projector for the pattern image, all fixed to each other.

    Everything is in the camera's frame: metres, x right, y down, z forward.  Pixel (0, 0) is the first pixel's centre.
    The focal lengths are those of the lens and sensor of the published rig (37.009 mm; 12.5 and 12.381 micrometres).
    The lamp is set so far aside that the relief casts shadows; at 1 m its light falls 39 degrees from the axis.  The
    projector stands at a right angle to it about the axis: what runs along one light is lit across by the other.

    Attributes:
        focal: horizontal and vertical focal length, pixels.
        centre: principal point (u, v), pixels; None is the middle of the frame.
        lamp: position of the point light of the shading image.
        projector: position of the pattern's projector, whose axes are parallel to the camera's and whose focal lengths
            and principal point are the camera's.
    """

    focal: tuple[float, float] = (2960.7, 2989.1)
    centre: tuple[float, float] | None = None
    lamp: tuple[float, float, float] = (0.52, -0.62, 0.0)
    projector: tuple[float, float, float] = (-0.30, -0.25, 0.0)

    def principal_point(self, height: int, width: int) -> tuple[float, float]:
        """(u, v) in pixels of a frame of this size."""
        return self.centre or ((width - 1) / 2, (height - 1) / 2)

    def rays(self, height: int, width: int) -> np.ndarray:
        """Points at depth 1 of all pixels, ``[H, W, 3]`` float64."""
        u, v = self.principal_point(height, width)
        x = (np.arange(width) - u) / self.focal[0]
        y = (np.arange(height) - v) / self.focal[1]
        return np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)

    def points(self, depth: np.ndarray) -> np.ndarray:
        """Points in space of a z-depth map ``[H, W]`` in metres: ``[H, W, 3]`` float64, metres."""
        return self.rays(*depth.shape) * depth[..., None].astype(np.float64)

    def pixels(self, points: np.ndarray, height: int, width: int, seen_from: np.ndarray | None = None) -> np.ndarray:
        """(u, v) of points ``[..., 3]`` in a frame of this size: ``[..., 2]``.

        Args:
            seen_from: position of the projector instead of the camera.
        """
        relative = points if seen_from is None else points - seen_from
        u, v = self.principal_point(height, width)
        x, y, z = np.moveaxis(relative, -1, 0)
        return np.stack([self.focal[0] * x / z + u, self.focal[1] * y / z + v], axis=-1)

    def normals(self, depth: np.ndarray) -> np.ndarray:
        """Unit normals ``[H, W, 3]`` float64, towards the camera, of a z-depth map ``[H, W]``; see
        ``normals_of_points``."""
        return normals_of_points(self.points(depth))


def blurred(picture: np.ndarray, sigma: float, weight: np.ndarray | None = None) -> np.ndarray:
    """Gaussian mean of ``[H, W]`` maps, over the pixels of ``weight [H, W]`` alone; float32.

    Where no weight is near, the mean is 0.
    """
    if weight is None:
        return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma)
    weight = weight.astype(np.float32)
    total = cv2.GaussianBlur(picture.astype(np.float32) * weight, (0, 0), sigma)
    share = cv2.GaussianBlur(weight, (0, 0), sigma)
    return np.where(share > 1e-4, total / np.maximum(share, 1e-4), 0).astype(np.float32)
