"""The background that a ray sees behind the bounding sphere."""

from __future__ import annotations

import torch

from nsr.fields.background import BackgroundField
from nsr.rendering.density import section_weights


def inverse_radius_points(
    origins: torch.Tensor, directions: torch.Tensor, start: torch.Tensor, inverse: torch.Tensor
) -> torch.Tensor:
    """``[N, B, 3]`` points of rays, beyond depth ``start [N]``, at inverse radii that are parts of the one there.

    Args:
        origins, directions: ``[N, 3]``, unit directions; ``start`` is not before the point closest to the centre.
        inverse: ``[N, B]`` in (0, 1]: inverse radius as a part of the inverse radius at ``start``.
    """
    middle = -(origins * directions).sum(1, keepdim=True)
    closest = ((origins * origins).sum(1, keepdim=True) - middle**2).clamp_min(0)
    at_start = (origins + start.unsqueeze(1) * directions).norm(dim=1, keepdim=True).clamp_min(1.0)
    radius = at_start / inverse
    depth = middle + (radius**2 - closest).clamp_min(0).sqrt()
    return origins.unsqueeze(1) + depth.unsqueeze(2) * directions.unsqueeze(1)


def composite_background(
    field: BackgroundField,
    origins: torch.Tensor,
    directions: torch.Tensor,
    start: torch.Tensor,
    passed: torch.Tensor,
    jitter: bool = True,
    negligible: float = 1e-3,
) -> torch.Tensor:
    """Light ``[N, 3]`` that the background adds to rays: its colour plus 1 (0 for black, 2 for white, or beyond by its
    ``colour_margin``), times ``passed``.

    One sample in each of equal parts of the inverse radius, from the bounding sphere to infinity (Zhang et al. 2020,
    NeRF++); the last section is opaque, for a ray ends somewhere.

    Args:
        field: the background.
        origins, directions: ``[N, 3]``; start: ``[N]`` depth where the ray leaves the bounding sphere.
        passed: ``[N]`` part of the light that the object lets through; differentiable.
        jitter: draw each sample's place within its part; else its middle.
        negligible: rays with less passed are not sampled.
    """
    rays = (passed.detach() > negligible).nonzero().squeeze(1)
    count, samples = len(rays), field.samples
    steps = torch.arange(samples, dtype=origins.dtype, device=origins.device).expand(count, -1)
    offset = torch.rand(count, samples, dtype=origins.dtype, device=origins.device) if jitter else 0.5
    inverse = 1 - (steps + offset) / samples
    points = inverse_radius_points(origins[rays], directions[rays], start[rays], inverse.clamp_min(1e-4))
    towards = directions[rays].unsqueeze(1).expand(-1, samples, -1)
    density, colours = field(points.reshape(-1, 3), towards.reshape(-1, 3))
    ends = torch.cat([inverse[:, 1:], torch.zeros_like(inverse[:, :1])], dim=1)
    opacity = -torch.expm1(-density.view(count, samples) * (inverse - ends) * samples)
    opacity = torch.cat([opacity[:, :-1], torch.ones_like(opacity[:, :1])], dim=1)
    weights = section_weights(opacity) * passed[rays].unsqueeze(1)
    light = (weights.unsqueeze(2) * (colours.view(count, samples, 3) + 1)).sum(1)
    return torch.zeros_like(origins).index_add(0, rays, light)
