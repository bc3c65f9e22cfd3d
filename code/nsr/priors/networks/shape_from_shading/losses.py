"""What a predicted residual is measured by while it is learnt."""

from __future__ import annotations

from torch import Tensor


def masked_absolute(difference: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute value of ``[B, 1, H, W]`` over valid pixels; an invalid one has no gradient."""
    return (difference * mask).abs().sum() / mask.sum().clamp(min=1)


def masked_slope(difference: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute step of ``[B, 1, H, W]`` to the next pixel, right plus down, over pairs of which both are valid.

    Shading tells slopes: a difference that varies fast costs more than one that drifts.
    """
    right = _steps(difference, -1) * mask[..., 1:] * mask[..., :-1]
    down = _steps(difference, -2) * mask[..., 1:, :] * mask[..., :-1, :]
    return (right.abs().sum() + down.abs().sum()) / mask.sum().clamp(min=1)


def _steps(values: Tensor, axis: int) -> Tensor:
    length = values.shape[axis] - 1
    return values.narrow(axis, 1, length) - values.narrow(axis, 0, length)
