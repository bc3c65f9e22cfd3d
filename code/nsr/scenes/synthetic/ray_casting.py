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
    """Finds where rays ``origins, directions [N, 3]`` (float32, on the CPU, directions unit) meet something.

    Nothing is differentiable.
    """

    def first_hit(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Distances ``[N]`` (inf where nothing is hit) and triangle indices ``[N]`` (-1 where there is none)."""

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        """``[N]`` bool: the ray hits anything."""


def embree_is_installed() -> bool:
    """Whether triangles can be traced: embreex is an optional package."""
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

    HIT = 3e-4  # field below which a ray has hit, normalised units; what follows refines the distance
    BLOCKED = 2e-5  # the same for shadow rays, which start close to the surface
    STEPS = 400

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def first_hit(self, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        distances = self._trace(origins, directions, self.HIT)
        return distances, torch.full_like(distances, -1, dtype=torch.int64)

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        return self._trace(origins, directions, self.BLOCKED).isfinite()

    def _trace(self, origins: Tensor, directions: Tensor, tolerance: float) -> Tensor:
        position, end = _chord(origins, directions)
        distances = torch.full_like(position, torch.inf)
        active = torch.nonzero(position < end).squeeze(-1)
        for _ in range(self.STEPS):
            if len(active) == 0:
                break
            here = position[active]
            value = self._shape.field(origins[active] + here.unsqueeze(-1) * directions[active])
            hit = value < tolerance
            distances[active[hit]] = here[hit]
            position[active] = here + value / self._shape.slope_limit
            active = active[~hit & (position[active] < end[active])]
        return distances


def first_crossing(shape: Shape, origins: Tensor, directions: Tensor, around: Tensor) -> Tensor:
    """Where few, difficult rays enter a shape: distances ``[N]``, inf for those that do not.

    Looks at many points at once, densely near ``around [N]`` (where the ray is known to come close) and less so from
    there to the end of the bounding sphere, and bisects the first interval with a change of sign.  A crest that a ray
    cuts by less than about 1e-5 is passed.
    """
    _, end = _chord(origins, directions)
    near = torch.linspace(-0.02, 0.02, 65, device=origins.device)
    beyond = torch.linspace(0, 1, 193, device=origins.device)[1:]
    last = around + near[-1]
    samples = torch.cat(
        [around.unsqueeze(-1) + near, last.unsqueeze(-1) + beyond * (end - last).clamp(min=0).unsqueeze(-1)], dim=-1
    )
    inside = _along(shape, origins, directions, samples) < 0
    entry = ~inside[:, :-1] & inside[:, 1:]
    first = entry.to(torch.uint8).argmax(-1, keepdim=True)
    low, high = samples.gather(1, first), samples.gather(1, first + 1)
    for _ in range(18):
        middle = (low + high) / 2
        behind = _along(shape, origins, directions, middle) < 0
        low, high = torch.where(behind, low, middle), torch.where(behind, middle, high)
    return torch.where(entry.any(-1), high.squeeze(-1), torch.inf)


def _along(shape: Shape, origins: Tensor, directions: Tensor, distances: Tensor) -> Tensor:
    """Field ``[N, S]`` at ``distances [N, S]`` along rays ``[N, 3]``."""
    points = origins.unsqueeze(1) + distances.unsqueeze(-1) * directions.unsqueeze(1)
    return shape.field(points.reshape(-1, 3)).reshape(distances.shape)


def _chord(origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Distances ``[N]`` at which rays enter and leave the bounding sphere; equal, or the end first, where they miss."""
    middle = -(origins * directions).sum(-1)
    squared = BOUNDING_RADIUS**2 - (origins + middle.unsqueeze(-1) * directions).square().sum(-1)
    half = squared.clamp(min=0).sqrt()
    return (middle - half).clamp(min=0), middle + half


def _array(vectors: Tensor) -> np.ndarray:
    return np.ascontiguousarray(vectors.cpu().numpy(), dtype=np.float32)
