"""Whether the surface hides a point of itself from somewhere."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nsr.rendering.ray_tracing import Trace


@torch.no_grad()
def in_sight(
    trace: Callable[[torch.Tensor, torch.Tensor], Trace],
    points: torch.Tensor,
    normals: torch.Tensor,
    targets: torch.Tensor,
    clearance: float,
) -> torch.Tensor:
    """Whether the straight way from surface points to targets is free: ``[N]`` bool.

    Args:
        trace: origins and unit directions ``[N, 3]`` to where those rays meet the surface first.
        points, normals: ``[N, 3]``, on the surface and of unit length; targets: ``[N, 3]``, outside the object.
        clearance: how far above the surface the ways begin, so that the surface about a point does not hide it; units
            of the normalised frame.
    """
    starts = points + clearance * normals
    ways = targets - starts
    distance = ways.norm(dim=1)
    found = trace(starts, ways / distance.unsqueeze(1))
    return ~found.hit | (found.depth >= distance)
