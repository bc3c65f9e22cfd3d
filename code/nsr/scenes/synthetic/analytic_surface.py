"""An analytic shape as a surface to render."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from nsr.scenes.synthetic.extraction import extract_mesh
from nsr.scenes.synthetic.ray_casting import (
    RayCaster,
    SphereTracer,
    TriangleCaster,
    embree_is_installed,
    first_crossing,
)
from nsr.scenes.synthetic.shapes import Shape
from nsr.scenes.synthetic.surfaces import FLAT_ALBEDO, Hits
from nsr.scenes.synthetic.texture import WaveTexture

_NEWTON_STEPS = 6
_CONVERGED = 1e-6  # length of a step along the ray, normalised units
_SMALLEST_SLOPE = 1e-3  # of the field along the ray
_FIRST_RESOLUTION = 160  # enough for a smooth shape
_LARGEST_RESOLUTION = 640  # its grid takes 1.3 GB


class AnalyticSurface:
    """The exact zero set of a shape.

    Rays find it on its fine mesh by Embree, or by sphere tracing where embreex is not installed; Newton's method along
    the ray then makes either exact.

    Args:
        shape: the shape.
        texture: its solid texture, or None for one flat colour.
        largest_error: of the mesh, mean distance of its face centres from the zero set, normalised units.
        caster: what finds the rays' hits to begin with; None takes the faster one that is installed.
    """

    def __init__(
        self, shape: Shape, texture: WaveTexture | None, largest_error: float, caster: RayCaster | None = None
    ) -> None:
        self.shape = shape
        self._texture = texture
        self.vertices, self.faces, self.sampling_error = fine_mesh(shape, largest_error)
        self._caster = caster or self._default_caster()
        # The mesh and the sphere tracer are off by less than this, except at edges that a ray only grazes.
        self._largest_step = 4 * self.sampling_error + 4 * SphereTracer.HIT

    def first_hit(self, origins: Tensor, directions: Tensor) -> Hits:
        distances, _ = self._caster.first_hit(origins, directions)
        rays = torch.nonzero(distances.isfinite()).squeeze(-1)
        distances, normals = self._refine(origins[rays], directions[rays], distances[rays])
        kept = distances.isfinite()
        rays, distances, normals = rays[kept], distances[kept], normals[kept]
        points = origins[rays] + distances.unsqueeze(-1) * directions[rays]
        if self._texture is None:
            albedo = torch.full_like(points, FLAT_ALBEDO)
        else:
            albedo = self._texture.albedo(points)
        return Hits(rays, distances, points, normals, albedo)

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        return self._caster.is_blocked(origins, directions)

    def _default_caster(self) -> RayCaster:
        return TriangleCaster(self.vertices, self.faces) if embree_is_installed() else SphereTracer(self.shape)

    def _refine(self, origins: Tensor, directions: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (inf for a ray that the exact surface lets pass) and unit normals, by Newton's method."""
        limit = self._largest_step
        distances, normals = distances.clone(), torch.empty_like(origins)
        active = torch.arange(len(distances), device=distances.device)
        for _ in range(_NEWTON_STEPS):
            here, along = distances[active], directions[active]
            value, gradient = self.shape.field_and_gradient(origins[active] + here.unsqueeze(-1) * along)
            step = -value / (gradient * along).sum(-1).clamp(max=-_SMALLEST_SLOPE)
            distances[active] = here + step.clamp(-limit, limit)
            normals[active] = gradient
            active = active[step.abs() > _CONVERGED]
        # What is left grazes a crest, which the mesh and the exact surface may see on different sides of the ray.
        distances[active] = first_crossing(self.shape, origins[active], directions[active], distances[active])
        hit = active[distances[active].isfinite()]
        _, normals[hit] = self.shape.field_and_gradient(origins[hit] + distances[hit].unsqueeze(-1) * directions[hit])
        return distances, torch.nn.functional.normalize(normals, dim=-1)


def fine_mesh(shape: Shape, largest_error: float) -> tuple[np.ndarray, np.ndarray, float]:
    """A mesh of ``shape`` whose face centres lie within ``largest_error`` of the zero set on average.

    Returns vertices ``[V, 3]``, faces ``[F, 3]`` and the error reached (larger than asked for only at the largest
    resolution).  Vertices are on the zero set; face centres are about where the mesh is farthest from it.
    """
    resolution = _FIRST_RESOLUTION
    while True:
        vertices, faces = extract_mesh(shape, resolution)
        sample = faces[:: max(1, len(faces) // 50_000)]
        value, gradient = shape.field_and_gradient(torch.from_numpy(vertices[sample].mean(1)))
        error = float((value.abs() / gradient.norm(dim=-1)).mean())
        if error <= largest_error or resolution == _LARGEST_RESOLUTION:
            return vertices, faces, error
        # The error falls with the square of the spacing.
        wanted = resolution * (error / (0.9 * largest_error)) ** 0.5
        resolution = min(4 * math.ceil(wanted / 4), _LARGEST_RESOLUTION)
