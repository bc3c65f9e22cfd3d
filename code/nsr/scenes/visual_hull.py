"""The visual hull: the largest shape that the masks allow (Laurentini 1994)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.silhouettes import Silhouettes


class VisualHull:
    """A signed field on a grid over [-1, 1]^3 whose zero set is the visual hull.

    At every grid point it is the largest of the views' signed distances to their silhouette cones, or, where wrong
    masks are tolerated, the largest but some: a point is outside where **more** views than may be wrong say so, and it
    is at least so far from the object as the least of those views proves.  Each is smooth across the outline, so
    that the zero set is placed to a fraction of a cell.  Outside it is a lower bound of the distance to the object as
    long as no more masks are wrong than tolerated, save that between grid points it is interpolated.

    Attributes:
        grid: ``[R, R, R]`` float32, indexed x, y, z, positive outside.
    """

    def __init__(self, grid: torch.Tensor):
        self.grid = grid

    @property
    def resolution(self) -> int:
        return self.grid.shape[0]

    @classmethod
    def carve(
        cls,
        masks: list[torch.Tensor],
        cameras: Cameras,
        resolution: int = 128,
        seen_by: float = 0.25,
        tolerance: float = 0.0,
        outline_noise: float = math.inf,
        camera_noise: float = 0.0,
        slacks: Sequence[float] | None = None,
        silhouettes: Silhouettes | None = None,
    ) -> VisualHull:
        """Carve from masks.

        Args:
            masks: per view ``[H, W]`` bool; give the **training** views only, or held-out figures are flattered.
            cameras: of the same views.
            resolution: grid points along each axis.
            seen_by: a point inside the hull must lie in the frames of at least this fraction of the views (and of
                two); what lies outside a frame is unknown to that view.
            tolerance: share of the views seeing a point (in whole views, rounded down) that may call it empty by
                mistake.
            outline_noise: how far beside their outlines they may be mistaken, as a fraction of the image's longer side;
                beyond that a single view is believed.
            camera_noise: how far the cameras may misplace what they see, units of the normalised frame; every
                silhouette proves that much less.
            slacks: the same for single views: by how much less each one's silhouette proves; infinite for a view that
                proves nothing and counts for nothing.
            silhouettes: of the same masks, where they exist already.

        Raises:
            SceneError: nothing is left: the masks and cameras contradict each other.
        """
        silhouettes = silhouettes or Silhouettes(masks, cameras)
        device = cameras.poses.device
        axis = torch.linspace(-1, 1, resolution, device=device)
        points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
        radius = points.norm(dim=1)
        value = radius - 1
        candidate = (value < 4 / resolution).nonzero().squeeze(1)
        # The largest distances so far, in falling order; as many as may be passed over, and one.
        slacks = [0.0] * silhouettes.views if slacks is None else slacks
        voters = [view for view in range(silhouettes.views) if math.isfinite(slacks[view])]
        ranks = int(tolerance * len(voters) + 1e-6) + 1
        farthest = torch.full((ranks, len(candidate)), -2.0, device=device)
        beyond_noise = torch.full((len(candidate),), -2.0, device=device)
        seen = torch.zeros(len(candidate), device=device)
        for view in voters:
            noise = outline_noise * silhouettes.longer_side_span(view)
            for start in range(0, len(candidate), 1 << 18):
                part = slice(start, start + (1 << 18))
                distance, inside = silhouettes.distance(view, points[candidate[part]])
                seen[part] += inside
                distance = torch.where(inside, distance - slacks[view], torch.full_like(distance, -2.0))
                beyond_noise[part] = torch.maximum(beyond_noise[part], distance - noise)
                for ranked in farthest[:, part]:
                    distance, ranked[:] = torch.minimum(ranked, distance), torch.maximum(ranked, distance)
        passed_over = (tolerance * seen + 1e-6).long().unsqueeze(0)
        voted = torch.maximum(farthest.gather(0, passed_over).squeeze(0), beyond_noise) - camera_noise
        needed = min(max(2, round(seen_by * len(voters))), len(voters))
        voted = torch.where(seen < needed, voted.clamp_min(2 / resolution), voted)
        value[candidate] = torch.maximum(value[candidate], voted)
        if not (value < 0).any():
            raise SceneError(
                "the visual hull is empty: no point of the unit sphere lies inside the masks of all the views that "
                "see it; check the masks (inverted?), the camera convention and scale_mat"
            )
        return cls(value.view(resolution, resolution, resolution))

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Signed value ``[N]`` at ``x [N, 3]``, trilinear, negative inside the hull."""
        lookup = x.flip(-1).view(1, 1, 1, -1, 3)
        return torch.nn.functional.grid_sample(
            self.grid.view(1, 1, *self.grid.shape).to(x.dtype), lookup, align_corners=True, padding_mode="border"
        ).view(-1)

    def surface_points(self) -> torch.Tensor:
        """``[M, 3]`` grid points within a cell of the surface, moved onto it along the gradient."""
        cell = 2 / (self.resolution - 1)
        near = (self.grid.abs() < cell).nonzero()
        gradient = torch.stack(torch.gradient(self.grid, spacing=cell), dim=-1)[near[:, 0], near[:, 1], near[:, 2]]
        value = self.grid[near[:, 0], near[:, 1], near[:, 2]].unsqueeze(1)
        squared = (gradient * gradient).sum(1, keepdim=True).clamp_min(0.25)
        move = -value * gradient / squared
        # Where views stop seeing, the field jumps and its gradient points nowhere.
        kept = move.norm(dim=1) < 2 * cell
        return (near.to(self.grid.dtype) * cell - 1 + move)[kept]

    def normals(self, x: torch.Tensor) -> torch.Tensor:
        """Unit normals ``[N, 3]`` at points near the surface, pointing outward: central differences over two cells."""
        cell = 2 / (self.resolution - 1)
        steps = cell * torch.eye(3, dtype=x.dtype, device=x.device)
        slopes = [self.value(x + step) - self.value(x - step) for step in steps]
        return torch.nn.functional.normalize(torch.stack(slopes, dim=1), dim=1)
