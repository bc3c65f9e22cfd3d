"""What every stage is held to."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST_SPREAD = 0.02  # metres: patches flatter than this do not count for more


def spread(low: Tensor, mask: Tensor) -> Tensor:
    """Standard deviation of each low-resolution map's valid depths, ``[B, 1, H, W]`` to ``[B, 1, 1, 1]``, metres.

    It is known without the ground truth and says how large errors about discontinuities can be; dividing by it lets a
    patch of small objects teach as much as one of large rooms.
    """
    count = mask.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (low * mask).sum((1, 2, 3), keepdim=True) / count
    variance = ((low - mean).square() * mask).sum((1, 2, 3), keepdim=True) / count
    return (variance + LEAST_SPREAD**2).sqrt()


def stage_loss(depth: Tensor, truth: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
    """Mean over valid pixels of the squared error in units of ``scale``; invalid pixels get a gradient of exactly zero.

    Args:
        depth, truth: ``[B, 1, H, W]`` metres; mask: ``[B, 1, H, W]``, 1 where valid; scale: ``[B, 1, 1, 1]`` metres.

    Returns:
        a scalar, zero where nothing is valid.
    """
    error = torch.where(mask > 0, depth - truth, torch.zeros_like(depth)) / scale
    return error.square().sum() / mask.sum().clamp(min=1)
