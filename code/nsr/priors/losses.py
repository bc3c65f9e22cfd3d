"""What a rendering is asked by priors: errors a ray, as plain functions of tensors.

Each returns ``[N]`` errors, differentiable in what was rendered, or is a fit in closed form, whose result is a
constant; which rays count, and how much, is the caller's affair.
"""

from __future__ import annotations

import torch

FEWEST_RAYS = 8  # of a view, below which two numbers cannot be fitted to them
_DARKEST = 0.02  # of logarithms: darker colours count as this


def huber(error: torch.Tensor, delta: float) -> torch.Tensor:
    """Huber's function over ``delta``: ``e^2 / (2 delta)`` up to ``delta``, ``|e| - delta / 2`` beyond; so that its
    slope is at most 1."""
    return torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta) / delta


def bounded(distance: torch.Tensor, reach: float) -> torch.Tensor:
    """``|d| / (1 + |d| / reach)``: as far as a prior is wrong, it hardly pulls."""
    distance = distance.abs()
    return distance / (1 + distance / reach)


def normal_difference(normals: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """``|n - n*|_1 + (1 - n . n*)`` of unit vectors ``[N, 3]`` (MonoSDF, Yu et al. 2022, eq. 13)."""
    return (normals - prior).abs().sum(1) + 1 - (normals * prior).sum(1)


def normal_angle(normals: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Angle between unit vectors ``[N, 3]``, radians (NeuRIS, Wang et al. 2022, eq. 5).

    By the arc tangent, whose slope stays finite where they are parallel.
    """
    across = torch.linalg.cross(normals, prior).square().sum(1)
    return torch.atan2((across + 1e-12).sqrt(), (normals * prior).sum(1))


def behind_surface(sdf: torch.Tensor) -> torch.Tensor:
    """How far points that are known to be free lie inside: ``max(0, -f)``."""
    return (-sdf).clamp_min(0)


@torch.no_grad()
def affine_fit(
    prior: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, view: torch.Tensor, views: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scale a and shift b of each view that minimise ``sum of w (a prior + b - target)^2``, in closed form.

    Unlike a fit of what is rendered to the prior (MonoSDF, eq. 11 and 12), errors come out in the scene's units, and
    weights mean the same whatever range the prior has.

    Args:
        prior, target, weights: ``[N]``; view: ``[N]`` int64 below ``views``.

    Returns:
        scale and shift ``[views]``, constants, and which views determine them ``[views]`` bool: with at least
        ``FEWEST_RAYS`` rays, of different prior depths, and a scale above 0.
    """

    def sums(values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(views).index_add(0, view, values)

    total = sums(weights).clamp_min(1e-12)
    prior_mean, target_mean = sums(weights * prior) / total, sums(weights * target) / total
    prior_rest, target_rest = prior - prior_mean[view], target - target_mean[view]
    variance = sums(weights * prior_rest**2)
    scale = sums(weights * prior_rest * target_rest) / variance.clamp_min(1e-12)
    spread = variance / total > 1e-8 * (1 + prior_mean**2)
    determined = (sums((weights > 0).to(weights.dtype)) >= FEWEST_RAYS) & spread & (scale > 0)
    return scale, target_mean - scale * prior_mean, determined


def log_difference(
    colours: torch.Tensor, prior: torch.Tensor, weights: torch.Tensor, view: torch.Tensor, views: int
) -> torch.Tensor:
    """``sum over channels of |log c - log c* - m|``, m the view's weighted mean of ``log c - log c*`` in the channel:
    what a prior that is known up to a colour of the view says of its pixels' ratios.

    Args:
        colours, prior: ``[N, 3]``, linear; weights: ``[N]``; view: ``[N]`` int64 below ``views``.
    """
    difference = colours.clamp_min(_DARKEST).log() - prior.clamp_min(_DARKEST).log()
    total = weights.new_zeros(views).index_add(0, view, weights).clamp_min(1e-12)
    weighted = weights.unsqueeze(1) * difference
    mean = weighted.new_zeros(views, 3).index_add(0, view, weighted) / total.unsqueeze(1)
    return (difference - mean[view]).abs().sum(1)
