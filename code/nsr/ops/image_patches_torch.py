"""Patches of pictures in plain PyTorch: bilinear samples, homographies of patches, and how alike two patches are."""

from __future__ import annotations

import math

import torch

OUTSIDE = 0  # what pixels off the object hold; those on it hold at least 1


def patch_offsets(side: int, spacing: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """``[side * side, 2]`` (u, v) offsets of a square patch's samples from its centre, in pixels."""
    axis = (torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2) * spacing
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([u, v], dim=-1).view(-1, 2)


def warp_patches(
    homographies: torch.Tensor, centres: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the samples of patches land under homographies of pixels.

    Args:
        homographies: ``[Q, 3, 3]``; centres: ``[Q, 2]`` (u, v) of the patches; offsets: ``[P, 2]`` of the samples.

    Returns:
        pixels ``[Q, P, 2]``, differentiable in the homographies; and ``[Q, P]`` bool, whether the third coordinate is
        positive there, elsewhere the pixel means nothing.
    """
    homogeneous = homographies[:, :, 2] + (homographies[:, :, :2] @ centres.unsqueeze(2)).squeeze(2)
    warped = homogeneous.unsqueeze(1) + offsets @ homographies[:, :, :2].transpose(1, 2)
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


@torch.no_grad()
def picture_samples_torch(
    values: torch.Tensor, frames: torch.Tensor, views: torch.Tensor, levels: torch.Tensor, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As ``nsr.ops.image_patches.picture_samples``, and the slopes ``[Q, P, C, 2]`` along u and v."""
    scale = torch.exp2(-levels.to(pixels.dtype)).view(-1, 1, 1)
    at = (pixels + 0.5) * scale - 0.5
    start, height, width = (entry.unsqueeze(1) for entry in frames[views, levels].unbind(1))
    low = at.floor()
    column, row = low[..., 0].long(), low[..., 1].long()
    # Whole numbers are bounded, not coordinates: of NaN or of what is far away any whole number may have become.
    left = torch.minimum(column, width - 2).clamp_min(0)
    top = torch.minimum(row, height - 2).clamp_min(0)
    inside = (left == column) & (top == row)
    first = start + top * width + left
    # A picture of one row or column has no square of four pixels: nothing in it is inside.
    last = values.shape[1] - 1
    corners = [(first + step).clamp_max(last).view(-1) for step in (0, 1, width, width + 1)]
    # One plane at a time: gathering single bytes is what index_select is quick at.
    taken = [torch.stack([plane.index_select(0, corner) for plane in values], -1) for corner in corners]
    for corner in taken:
        inside = inside & (corner[:, 0] != OUTSIDE).view(inside.shape)
    a, b, c, d = (corner.to(at.dtype).view(*inside.shape, len(values)) for corner in taken)
    x, y = torch.where(inside.unsqueeze(-1), at - low, 0).unsqueeze(-2).unbind(-1)
    upper = torch.addcmul(a, x, b - a)
    along_v = torch.addcmul(c, x, d - c) - upper
    slopes = torch.stack([torch.lerp(b - a, d - c, y), along_v], dim=-1) * scale.unsqueeze(-1)
    kept = inside.unsqueeze(-1)
    return torch.where(kept, torch.addcmul(upper, y, along_v), 0), inside, torch.where(kept.unsqueeze(-1), slopes, 0)


@torch.no_grad()
def levels_in_source(warped: torch.Tensor, side: int, spacing: float, level: int, levels: int) -> torch.Tensor:
    """``[Q]`` the level at which a source is as coarse as the patch was: nearer sources show more.

    Args:
        warped: ``[Q, side * side, 2]``; spacing: between a patch's samples; level: that it was taken from; levels:
            how many there are.
    """
    square = warped.view(len(warped), side, side, 2)
    rows = square[:, -1, side // 2] - square[:, 0, side // 2]
    columns = square[:, side // 2, -1] - square[:, side // 2, 0]
    area = (rows[:, 0] * columns[:, 1] - rows[:, 1] * columns[:, 0]).abs()
    finer = 0.5 * torch.log2((area / math.pow((side - 1) * spacing, 2)).clamp(1e-6, 1e6))
    return (level + finer.round().long()).clamp(0, levels - 1)
