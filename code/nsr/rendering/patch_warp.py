"""Patches of one view seen by another, by way of the surface's tangent plane."""

from __future__ import annotations

import torch

from nsr.scenes.cameras import Cameras


def plane_homographies(
    cameras: Cameras, references: torch.Tensor, sources: torch.Tensor, points: torch.Tensor, normals: torch.Tensor
) -> torch.Tensor:
    """From pixels of one view to pixels of another, were the surface its tangent plane.

    The plane ``n . (x - X) = 0`` maps homogeneous reference pixels q to source pixels by
    ``K_s R_s^T [(n . (X - c_r)) I + (c_r - c_s) n^T] R_r K_r^-1 q`` (Geo-NeuS, Fu et al. 2022, eq. 9 and 10, with the
    cameras' centres c and camera-to-world rotations R).

    Args:
        cameras: of all views; the poses and intrinsics may carry gradients.
        references, sources: ``[Q]`` int64, the two views of each pair.
        points: ``[Q, 3]`` surface points X; normals: ``[Q, 3]``, of any length but zero.

    Returns:
        ``[Q, 3, 3]``, differentiable in points, normals and cameras.  The third coordinate of a mapped pixel is
        positive where the plane is met in front of both cameras and seen from its front by the reference.
    """
    normals = torch.nn.functional.normalize(normals, dim=1)
    rotations = cameras.poses[:, :3, :3]
    backproject = (rotations @ _inverse(cameras.intrinsics))[references]
    project = (cameras.intrinsics @ rotations.transpose(1, 2))[sources]
    centres = cameras.centres[references]
    # Negative where the plane is seen from its front, so that both factors of the third coordinate turn positive.
    height = -((points - centres) * normals).sum(1)
    baseline = (project * (centres - cameras.centres[sources]).unsqueeze(1)).sum(2)
    normals_in_pixels = (backproject * normals.unsqueeze(2)).sum(1)
    return height[:, None, None] * (project @ backproject) - baseline.unsqueeze(2) * normals_in_pixels.unsqueeze(1)


def _inverse(intrinsics: torch.Tensor) -> torch.Tensor:
    """Inverses of upper triangular ``[V, 3, 3]`` intrinsics with ``K[2, 2] == 1``, in closed form."""
    fx, fy, skew = intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 1]
    cx, cy = intrinsics[:, 0, 2], intrinsics[:, 1, 2]
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [1 / fx, -skew / (fx * fy), (skew * cy / fy - cx) / fx, zero, 1 / fy, -cy / fy, zero, zero, one]
    return torch.stack(rows, dim=1).view(-1, 3, 3)
