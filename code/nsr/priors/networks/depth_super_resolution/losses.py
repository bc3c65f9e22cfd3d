"""What every stage is held to."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 0.01  # metres: errors well below count by their square, well above by themselves


def stage_loss(depth: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Mean over valid pixels of the Charbonnier error, ``sqrt(e^2 + r^2) - r``; invalid ones get exactly no gradient.

    The published networks take the mean square, in which the few pixels about the deepest steps outweigh the rest.

    Args:
        depth, truth: ``[B, 1, H, W]`` metres; mask: ``[B, 1, H, W]``, 1 where valid.

    Returns:
        a scalar in metres, zero where nothing is valid.
    """
    error = torch.where(mask > 0, depth - truth, torch.zeros_like(depth))
    return ((error.square() + ROUNDING**2).sqrt() - ROUNDING).sum() / mask.sum().clamp(min=1)
