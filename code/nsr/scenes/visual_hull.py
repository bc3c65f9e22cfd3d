"""The visual hull: the largest shape that the masks allow (Laurentini 1994)."""

from __future__ import annotations

import torch

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.silhouettes import Silhouettes


class VisualHull:
    """A signed field on a grid over [-1, 1]^3 whose zero set is the visual hull.

    At every grid point it is the largest of the views' signed distances to their silhouette cones, which is smooth
    across the outline, so that the zero set is placed to a fraction of a cell.  It is exact in sign, and a distance
    near the surface away from creases.

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
        silhouettes: Silhouettes | None = None,
    ) -> VisualHull:
        """Carve from masks.

        Args:
            masks: per view ``[H, W]`` bool; give the **training** views only, or held-out figures are flattered.
            cameras: of the same views.
            resolution: grid points along each axis.
            seen_by: a point inside the hull must lie in the frames of at least this fraction of the views (and of
                two); what lies outside a frame is unknown to that view.
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
        farthest = torch.full((len(candidate),), -2.0, device=device)
        seen = torch.zeros(len(candidate), device=device)
        for view in range(silhouettes.views):
            for start in range(0, len(candidate), 1 << 18):
                part = slice(start, start + (1 << 18))
                distance, inside = silhouettes.distance(view, points[candidate[part]])
                seen[part] += inside
                farthest[part] = torch.where(inside, torch.maximum(farthest[part], distance), farthest[part])
        needed = min(max(2, round(seen_by * silhouettes.views)), silhouettes.views)
        unseen = seen < needed
        farthest = torch.where(unseen, farthest.clamp_min(2 / resolution), farthest)
        value[candidate] = torch.maximum(value[candidate], farthest)
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
