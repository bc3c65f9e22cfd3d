"""Patches of one view seen by another, by way of the surface's tangent plane, and how alike they are."""

from __future__ import annotations

import torch

from nsr.scenes.cameras import Cameras


def patch_offsets(size: int, spacing: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """``[size * size, 2]`` (u, v) offsets of a square patch's samples from its centre, in pixels."""
    axis = (torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2) * spacing
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([u, v], dim=-1).view(-1, 2)


def warp_patches(
    reference: Cameras,
    source: Cameras,
    pixels: torch.Tensor,
    points: torch.Tensor,
    normals: torch.Tensor,
    offsets: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pixels about a reference pixel land in a source view, were the surface its tangent plane there.

    The plane ``n . (x - X) = 0`` maps homogeneous reference pixels q to source pixels by
    ``K_s R_s^T [(n . (X - c_r)) I + (c_r - c_s) n^T] R_r K_r^-1 q`` (Geo-NeuS, Fu et al. 2022, eq. 9 and 10, with the
    cameras' centres c and camera-to-world rotations R).

    Args:
        reference, source: Q cameras each, one of a kind for every patch; the poses may carry gradients.
        pixels: ``[Q, 2]`` (u, v), the patches' centres in the reference view.
        points: ``[Q, 3]`` surface points X on the rays of ``pixels``; normals: ``[Q, 3]``, of any length but zero.
        offsets: ``[Q or 1, P, 2]`` of the samples from the centre, in reference pixels.

    Returns:
        pixels ``[Q, P, 2]`` in the source view, differentiable in points, normals and poses; and ``[Q, P]`` bool,
        whether the plane is met in front of both cameras there, elsewhere the pixel means nothing.
    """
    normals = torch.nn.functional.normalize(normals, dim=1)
    rotation, centre = reference.poses[:, :3, :3], reference.centres
    backproject = rotation @ _inverse(reference.intrinsics)
    project = source.intrinsics @ source.poses[:, :3, :3].transpose(1, 2)
    # Negative where the plane is seen from its front, so that both factors of the third coordinate turn positive.
    height = -((points - centre) * normals).sum(1)
    baseline = centre - source.centres
    plane = height[:, None, None] * torch.eye(3, dtype=points.dtype, device=points.device)
    plane = plane - baseline.unsqueeze(2) * normals.unsqueeze(1)
    homography = project @ plane @ backproject
    homogeneous = homography[:, :, 2] + (homography[:, :, :2] @ pixels.unsqueeze(2)).squeeze(2)
    warped = homogeneous.unsqueeze(1) + offsets @ homography[:, :, :2].transpose(1, 2)
    third = warped[..., 2:]
    in_front = (third > 1e-6).squeeze(2)
    return warped[..., :2] / torch.where(in_front.unsqueeze(2), third, torch.ones_like(third)), in_front


def normalised_cross_correlation(
    first: torch.Tensor, second: torch.Tensor, least_variance: float = 1e-6
) -> torch.Tensor:
    """How alike patches are up to brightness and contrast: ``[Q]`` in [-1, 1].

    Channels have means of their own and share one scale, so that a channel without texture adds nothing.

    Args:
        first, second: ``[Q, P, C]``; differentiable in both.
        least_variance: variances are taken to be at least this, which keeps the gradient finite on even patches.
    """
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    covariance = (first * second).mean((1, 2))
    variances = [patch.square().mean((1, 2)).clamp_min(least_variance) for patch in (first, second)]
    return covariance * (variances[0] * variances[1]).rsqrt()


def _inverse(intrinsics: torch.Tensor) -> torch.Tensor:
    """Inverses of upper triangular ``[Q, 3, 3]`` intrinsics with ``K[2, 2] == 1``, in closed form."""
    fx, fy, skew = intrinsics[:, 0, 0], intrinsics[:, 1, 1], intrinsics[:, 0, 1]
    cx, cy = intrinsics[:, 0, 2], intrinsics[:, 1, 2]
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = [1 / fx, -skew / (fx * fy), (skew * cy / fy - cx) / fx, zero, 1 / fy, -cy / fy, zero, zero, one]
    return torch.stack(rows, dim=1).view(-1, 3, 3)
