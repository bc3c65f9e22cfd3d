"""First hits of rays: on triangles by Embree, on an analytic shape by sphere tracing."""

from __future__ import annotations

import importlib.util
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nsr.errors import SceneError
from nsr.scenes.synthetic.shapes import BOUNDING_RADIUS, Shape


class RayCaster(Protocol):
    """Rays ``origins, directions [N, 3]`` float32, directions unit; nothing is differentiable."""

    def first_hit(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Distances ``[N]`` (inf where nothing is hit) and triangle indices ``[N]`` (-1 where there is none)."""

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        """``[N]`` bool: the ray hits anything."""


def embree_is_installed() -> bool:
    return importlib.util.find_spec("embreex") is not None


class TriangleCaster:
    """Rays against triangles, by embreex (float32 on the processor; distances are good to about 1e-6)."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """``vertices [V, 3]``, ``faces [F, 3]``.  Raises ``SceneError`` where embreex is not installed."""
        if not embree_is_installed():
            raise SceneError("scenes from mesh files need the package embreex: pip install 'nsr[raycast]'")
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene()
        TriangleMesh(self._scene, np.ascontiguousarray(vertices[faces], dtype=np.float32))

    def first_hit(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        hits = self._scene.run(_array(origins), _array(directions), output=True)
        face = torch.from_numpy(hits["primID"].astype(np.int64))
        distance = torch.from_numpy(hits["tfar"])
        return torch.where(face < 0, torch.full_like(distance, torch.inf), distance), face

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        return torch.from_numpy(self._scene.run(_array(origins), _array(directions), query="OCCLUDED") == 0)


class SphereTracer:
    """Rays against an analytic shape by sphere tracing (Hart 1996)."""

    TOLERANCE = 2e-5  # of the field, normalised units; what follows refines the hits further
    STEPS = 400

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def first_hit(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        # Where the ray is inside the bounding sphere; no shape reaches beyond it.
        middle = -(origins * directions).sum(-1)
        half_chord = BOUNDING_RADIUS**2 - (origins + middle.unsqueeze(-1) * directions).square().sum(-1)
        half_chord = half_chord.clamp(min=0).sqrt()
        position = (middle - half_chord).clamp(min=0)
        end = middle + half_chord
        distance = torch.full_like(position, torch.inf)
        active = torch.nonzero((half_chord > 0) & (end > 0)).squeeze(-1)
        for _ in range(self.STEPS):
            if len(active) == 0:
                break
            here = position[active]
            value = self._shape.field(origins[active] + here.unsqueeze(-1) * directions[active])
            hit = value < self.TOLERANCE
            distance[active[hit]] = here[hit]
            position[active] = here + value / self._shape.slope_limit
            active = active[~hit & (position[active] < end[active])]
        return distance, torch.full_like(distance, -1, dtype=torch.int64)

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        return self.first_hit(origins, directions)[0].isfinite()


def _array(vectors: Tensor) -> np.ndarray:
    return np.ascontiguousarray(vectors.cpu().numpy(), dtype=np.float32)
