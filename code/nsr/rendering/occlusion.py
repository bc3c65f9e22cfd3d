"""Whether the surface hides a point of itself from somewhere."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nsr.rendering.bounds import intersect_sphere

Value = Callable[[torch.Tensor], torch.Tensor]


@torch.no_grad()
def in_sight(
    value: Value,
    points: torch.Tensor,
    normals: torch.Tensor,
    targets: torch.Tensor,
    clearance: float,
    steps: int = 8,
    radius: float = 1.0,
) -> torch.Tensor:
    """Whether the straight way from surface points to targets is free: ``[N]`` bool.

    Sphere tracing from ``clearance`` above the surface until the way leaves the bounding sphere or ends up inside.  No
    step is shorter than half the way behind it, so that few are needed: what is thinner than that may be jumped over.
    A way that is still undecided after ``steps`` counts as free.

    Args:
        value: the SDF, ``[M, 3] -> [M]``, negative inside.
        points, normals: ``[N, 3]``, on the surface and of unit length; targets: ``[N, 3]``, outside the object.
        clearance: also the first step, in units of the normalised frame.
        radius: of the bounding sphere.
    """
    starts = points + clearance * normals
    offsets = targets - starts
    distance = offsets.norm(dim=1)
    directions = offsets / distance.unsqueeze(1)
    end = torch.minimum(intersect_sphere(starts, directions, radius).far, distance)
    travelled = torch.full_like(distance, clearance)
    free = torch.ones_like(distance, dtype=torch.bool)
    running = (travelled < end).nonzero().squeeze(1)
    for _ in range(steps):
        if len(running) == 0:
            break
        depth = travelled[running]
        sdf = value(starts[running] + depth.unsqueeze(1) * directions[running])
        free[running] = sdf > 0
        travelled[running] = depth + torch.maximum(sdf, depth / 2)
        running = running[(sdf > 0) & (travelled[running] < end[running])]
    return free
