"""Where along a ray the object can be."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class RayBounds:
    """The part of each ray that is searched.

    Attributes:
        near, far: ``[N]`` distances along the ray, ``0 <= near <= far``.  Where the ray misses the bounds both are
            the distance of its point closest to them.
        meets: ``[N]`` bool.
    """

    near: torch.Tensor
    far: torch.Tensor
    meets: torch.Tensor


def intersect_sphere(origins: torch.Tensor, directions: torch.Tensor, radius: float = 1.0) -> RayBounds:
    """Part of each ray inside the bounding sphere about the origin; a ray may start inside it.

    Args:
        origins, directions: ``[N, 3]``, directions of unit length.
    """
    middle = -(origins * directions).sum(-1)
    closest = ((origins * origins).sum(-1) - middle**2).clamp_min(0)
    half = (radius**2 - closest).clamp_min(0).sqrt()
    meets = (closest < radius**2) & (middle + half > 0)
    near, far = (middle - half).clamp_min(0), (middle + half).clamp_min(0)
    middle = middle.clamp_min(0)
    return RayBounds(torch.where(meets, near, middle), torch.where(meets, far, middle), meets)


class HullBounds(torch.nn.Module):
    """The visual hull, grown by a margin, as the bounds of rays and of the surface.

    Nothing outside the hull can be object, so rays start at its near side rather than at the sphere's, which leaves
    a few steps to the surface, and whatever the field does outside is cut away, in renders and meshes alike.

    Args:
        grid: ``[R, R, R]`` signed values over [-1, 1]^3, positive outside (``VisualHull.grid``).
        margin: growth in units of the normalised frame.
    """

    iterations = 12

    def __init__(self, grid: torch.Tensor, margin: float):
        super().__init__()
        self.margin = margin
        self.register_buffer("grid", grid.half())

    @property
    def field(self) -> tuple[torch.Tensor, float]:
        """The grid ``[R, R, R]`` float16 and the margin: what the bounds are made of."""
        return self.grid, self.margin

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """``[N]`` signed value of the grown hull at ``x [N, 3]``, negative inside; trilinear."""
        grid = self.grid.to(x.dtype).view(1, 1, *self.grid.shape)
        lookup = x.flip(-1).view(1, 1, 1, -1, 3)
        sampled = torch.nn.functional.grid_sample(grid, lookup, align_corners=True, padding_mode="border")
        return sampled.view(-1) - self.margin

    @torch.no_grad()
    def __call__(self, origins: torch.Tensor, directions: torch.Tensor, radius: float = 1.0) -> RayBounds:
        """Bounds of rays: the sphere's, tightened by marching through the hull's field from both ends."""
        sphere = intersect_sphere(origins, directions, radius)
        count = len(origins)
        starts, steps = torch.cat([origins, origins]), torch.cat([directions, -directions])
        depth = torch.cat([sphere.near, -sphere.far])
        limit = torch.cat([sphere.far, -sphere.near])
        smallest = 1.0 / self.grid.shape[0]
        closest, lowest = depth, torch.full_like(depth, float("inf"))
        outside = torch.ones_like(depth, dtype=torch.bool)
        for _ in range(self.iterations):
            value = self.value(starts + depth.unsqueeze(1) * steps)
            better = value < lowest
            closest, lowest = torch.where(better, depth, closest), torch.where(better, value, lowest)
            outside = outside & (value > 0)
            depth = torch.where(outside, (depth + value.clamp_min(smallest)).minimum(limit), depth)
        near, far = depth[:count], -depth[count:]
        # A march that ran out of iterations still lies before the hull: it is a bound, only a looser one.
        meets = sphere.meets & (near < far)
        front_is_closer = lowest[:count] <= lowest[count:]
        nearest = torch.where(front_is_closer, closest[:count], -closest[count:])
        return RayBounds(torch.where(meets, near, nearest), torch.where(meets, far, nearest), meets)
