"""Pinhole cameras: intrinsics, poses, rays and projection.

Conventions, everywhere in the package:

* camera axes are OpenCV's: x right, y down, z forward;
* poses are camera-to-world, where "world" is the scene's normalised frame (the object inside the unit sphere) unless
  a name says ``world``; ``scene.scale_mat`` maps normalised to world coordinates;
* pixels are ``(u, v)`` = (column, row) and **(0, 0) is the centre of the first pixel** (IDR's convention).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from nsr.errors import SceneError


@dataclass
class Cameras:
    """A set of pinhole cameras.

    Attributes:
        intrinsics: ``[V, 3, 3]`` upper-triangular, pixels, ``K[2, 2] == 1``, skew kept.
        poses: ``[V, 4, 4]`` camera-to-world, OpenCV axes, rotation orthonormal.

    Both are differentiable wherever they are used.
    """

    intrinsics: torch.Tensor
    poses: torch.Tensor

    def __len__(self) -> int:
        return self.intrinsics.shape[0]

    def to(self, *args, **kwargs) -> Cameras:
        return Cameras(self.intrinsics.to(*args, **kwargs), self.poses.to(*args, **kwargs))

    def select(self, views) -> Cameras:
        """The cameras of ``views`` (a list or an index tensor), in that order."""
        return Cameras(self.intrinsics[views], self.poses[views])

    @property
    def centres(self) -> torch.Tensor:
        """``[V, 3]`` camera centres."""
        return self.poses[:, :3, 3]

    def rays(self, view: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rays through pixels.

        Args:
            view: ``[N]`` int64, the camera of each ray.
            pixels: ``[N, 2]`` (u, v) in pixels, (0, 0) the centre of the first pixel; need not be whole numbers.

        Returns:
            origins ``[N, 3]`` and unit directions ``[N, 3]``, differentiable in intrinsics and poses.
        """
        intrinsics, poses = self.intrinsics[view], self.poses[view]
        u, v = pixels[:, 0], pixels[:, 1]
        fx, fy = intrinsics[:, 0, 0], intrinsics[:, 1, 1]
        cx, cy, skew = intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 0, 1]
        y = (v - cy) / fy
        x = (u - cx - skew * y) / fx
        in_camera = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        directions = (poses[:, :3, :3] @ in_camera.unsqueeze(-1)).squeeze(-1)
        return poses[:, :3, 3], torch.nn.functional.normalize(directions, dim=-1)

    def project(self, view: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project points.

        Args:
            view: ``[N]`` int64; points: ``[N, 3]`` in the frame of the poses.

        Returns:
            pixels ``[N, 2]`` and z-depth ``[N]`` (negative behind the camera, where the pixel means nothing).
        """
        poses = self.poses[view]
        in_camera = (poses[:, :3, :3].transpose(1, 2) @ (points - poses[:, :3, 3]).unsqueeze(-1)).squeeze(-1)
        homogeneous = (self.intrinsics[view] @ in_camera.unsqueeze(-1)).squeeze(-1)
        depth = homogeneous[:, 2]
        safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
        return homogeneous[:, :2] / safe.unsqueeze(-1), in_camera[:, 2]


def projection_matrices(intrinsics: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """Compose ``[V, 4, 4]`` projections K [R | t], last row 0 0 0 1, from intrinsics and camera-to-world poses."""
    rotation = poses[:, :3, :3].transpose(1, 2)
    translation = -(rotation @ poses[:, :3, 3:])
    projection = torch.zeros_like(poses)
    projection[:, :3] = intrinsics @ torch.cat([rotation, translation], dim=-1)
    projection[:, 3, 3] = 1
    return projection


def decompose_projection(projection: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split one projection matrix into intrinsics and pose (RQ decomposition).

    Args:
        projection: ``[3, 4]`` or ``[4, 4]`` float64, any overall scale or sign.

    Returns:
        intrinsics ``[3, 3]`` with positive diagonal and ``K[2, 2] == 1``, and pose ``[4, 4]`` camera-to-world.

    Raises:
        SceneError: the matrix has NaNs or its left 3x3 block is singular.
    """
    projection = np.asarray(projection, dtype=np.float64)[:3]
    if not np.isfinite(projection).all():
        raise SceneError("the camera matrix has NaN or infinite entries")
    left = projection[:, :3]
    if np.linalg.cond(left) > 1e12:
        raise SceneError("the camera matrix is singular: its left 3x3 block has no inverse")
    if np.linalg.det(left) < 0:
        projection = -projection
        left = projection[:, :3]
    intrinsics, rotation = cv2.RQDecomp3x3(left)[1:3]
    signs = np.diag(np.where(np.diag(intrinsics) < 0, -1.0, 1.0))
    intrinsics, rotation = intrinsics @ signs, signs @ rotation
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -np.linalg.solve(left, projection[:, 3])
    return intrinsics / intrinsics[2, 2], pose
