"""Bicubic interpolation of depth maps, with the sampling positions of each way of decimating."""

from __future__ import annotations

import torch


def upsample(coarse: torch.Tensor, factor: int, phase: float) -> torch.Tensor:
    """Enlarge by cubic convolution (Keys 1981, a = -1/2, as MATLAB and Pillow have it; edges are repeated).

    Planes are reproduced exactly, except within two coarse pixels of the border.

    Args:
        coarse: ``[B, C, H, W]``; differentiable, any unit.
        phase: where coarse pixel k lies between the fine pixels it stands for: 0 at the first of them (fine pixel
            ``factor * k``), 1/2 at their middle (``factor * k + (factor - 1) / 2``).

    Returns:
        ``[B, C, factor * H, factor * W]``.
    """
    rows = _along_last(coarse.transpose(-2, -1), factor, phase).transpose(-2, -1)
    return _along_last(rows, factor, phase)


def repeat(coarse: torch.Tensor, factor: int) -> torch.Tensor:
    """Every pixel ``factor`` times along both sides: ``[..., H, W]`` to ``[..., factor * H, factor * W]``."""
    return coarse.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def _along_last(coarse: torch.Tensor, factor: int, phase: float) -> torch.Tensor:
    length = coarse.shape[-1]
    fine = torch.arange(factor * length, device=coarse.device, dtype=torch.float64)
    position = (fine - phase * (factor - 1)) / factor
    first = position.floor()
    fraction = (position - first).to(coarse.dtype)
    result = torch.zeros_like(coarse[..., :1])
    for tap in range(-1, 3):
        distance = (fraction - tap).abs()
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weight = torch.where(distance <= 1, near, far)
        result = result + weight * coarse[..., (first.long() + tap).clamp(0, length - 1)]
    return result
