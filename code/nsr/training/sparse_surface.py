"""Points of structure from motion lie on the surface, as far as their views can be believed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nsr.scenes.scene import Scene
from nsr.scenes.sparse_points import SPARSE_POINTS_FILE, SparsePoints, read_sparse_points

REACH = 0.05  # of the normalised frame: a point this far from the surface pulls half as much as one that lies near it
POINTS = 256  # of a step
FEWEST_VIEWS = 2  # training views that must see a point; fewer cannot have placed it


class SparseSurface:
    """Draws sparse points by how well they are known; the SDF shall be zero there (Geo-NeuS, Fu et al. 2022, eq. 7).

    A point counts where at least two training views see it, inside the unit sphere and on the object in more than half
    of their masks.  Its weight is ``(1 - 1/n) / (1 + (e/m)^2)`` for n training views and a reprojection error e, with m
    the median error (errors that the source does not know count as the median).

    Args:
        scene: its training views alone are looked at; points: of that scene, in world coordinates.

    Attributes:
        positions: ``[P, 3]`` in the normalised frame; weights: ``[P]``.
    """

    def __init__(self, scene: Scene, points: SparsePoints, device: torch.device | str = "cpu"):
        mine = points.of_views(scene.train_views)
        positions = torch.from_numpy(scene.to_normalised(mine.positions)).to(torch.float32)
        offsets = torch.from_numpy(mine.offsets)
        count = offsets.diff()
        owner = torch.repeat_interleave(torch.arange(len(mine)), count)
        on_object = torch.zeros(len(mine))
        cameras = scene.cameras.to("cpu", torch.float32)
        for place, view in enumerate(scene.train_views):
            seen = owner[torch.from_numpy(mine.views) == place]
            pixels, depth = cameras.project(torch.full((len(seen),), view), positions[seen])
            mask = scene.masks[view].cpu()
            column, row = pixels.round().long().clamp(-1, max(mask.shape)).unbind(1)
            inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0]) & (depth > 0)
            on_object[seen[inside]] += mask[row[inside], column[inside]].float()
        kept = (count >= FEWEST_VIEWS) & (on_object > count / 2) & (positions.norm(dim=1) < 1)
        error = torch.from_numpy(mine.errors).float()
        known = error[kept & error.isfinite()]
        typical = known.median().clamp_min(1e-6) if len(known) else torch.tensor(1.0)
        error = torch.where(error.isfinite(), error, typical)
        weights = (1 - 1 / count.clamp_min(1)) / (1 + (error / typical) ** 2)
        self.positions, self.weights = positions[kept].to(device), weights[kept].to(device)

    @classmethod
    def of_scene(cls, scene: Scene, device: torch.device | str = "cpu") -> SparseSurface | None:
        """Of the points in the scene's folder; None where it has no file of them, or none that counts.

        Raises:
            SceneError: the file is damaged or of another scene.
        """
        path = scene.folder / SPARSE_POINTS_FILE if scene.folder else None
        if path is None or not path.is_file():
            return None
        surface = cls(scene, read_sparse_points(path, len(scene)), device)
        return surface if len(surface.positions) else None

    def __call__(self, value: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Mean over points drawn by weight (torch's global generator) of ``|f| / (1 + |f| / reach)``.

        Stray points hardly move it.  Differentiable in what the SDF ``value``, ``[M, 3] -> [M]``, depends on.
        """
        chosen = torch.multinomial(self.weights, POINTS, replacement=True)
        distance = value(self.positions[chosen]).abs()
        return (distance / (1 + distance / REACH)).mean()
