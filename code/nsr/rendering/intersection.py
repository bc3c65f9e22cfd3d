"""The differentiable intersection of a ray with the zero set (IDR, lemma 1, eq. 3)."""

from __future__ import annotations

import torch


def displacement(
    directions: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor, minimum_cosine: float = 1e-2
) -> torch.Tensor:
    """How far along its ray an intersection moves with the field: ``-(f(x0) - f0) / (grad f0 . v0)``, 0 in value.

    Args:
        directions v: ``[N, 3]``, used as constants.
        value f(x0): ``[N]``, the SDF at the traced point with its graph in parameters (and cameras).
        gradient: ``[N, 3]`` SDF gradient at x0; used as a constant.
        minimum_cosine: the denominator's magnitude is kept above this, so that rays which graze the surface, whose
            intersection is not differentiable, do not throw the parameters away.

    Returns:
        ``[N]``, differentiable in whatever ``value`` depends on.
    """
    slope = (gradient * directions).sum(-1).detach()
    slope = torch.where(slope < 0, slope.clamp_max(-minimum_cosine), slope.clamp_min(minimum_cosine))
    return (value.detach() - value) / slope


def differentiable_intersection(
    origins: torch.Tensor, directions: torch.Tensor, depth: torch.Tensor, moved: torch.Tensor
) -> torch.Tensor:
    """``x = c + v (t0 - (f(x0) - f0) / (grad f0 . v0))``: equal to x0 in value, exact to first order in all inputs.

    Args:
        origins c, directions v: ``[N, 3]``; may carry gradients of the cameras.
        depth t0: ``[N]``, found by the tracer, a constant.
        moved: ``[N]`` of ``displacement``.

    Returns:
        points ``[N, 3]``, differentiable in c, v and whatever ``moved`` depends on.
    """
    return origins + (depth + moved).unsqueeze(-1) * directions
