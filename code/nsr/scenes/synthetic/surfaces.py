"""What the rays meet: an analytic shape or a triangle mesh, with its colours.

Both surfaces answer the same two questions, so that the renderer does not know which it draws:

* ``first_hit(origins, directions)`` gives a ``Hits``;
* ``is_blocked(origins, directions)`` says which rays meet the surface at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nsr.scenes.synthetic.extraction import extract_mesh
from nsr.scenes.synthetic.ray_casting import RayCaster, SphereTracer, TriangleCaster, embree_is_installed
from nsr.scenes.synthetic.shapes import Shape
from nsr.scenes.synthetic.texture import WaveTexture


@dataclass
class Hits:
    """Where rays first meet the surface; only the rays that do.

    Attributes:
        rays: ``[M]`` int64, which rays hit.
        distances: ``[M]`` along the unit directions.
        points, normals, albedo: ``[M, 3]``; normals are unit and point outward, albedo is in [0, 1].
    """

    rays: Tensor
    distances: Tensor
    points: Tensor
    normals: Tensor
    albedo: Tensor


class Surface(Protocol):
    """Something that can be rendered, in the normalised frame.  ``vertices``, ``faces`` are its ground-truth mesh."""

    vertices: np.ndarray
    faces: np.ndarray

    def first_hit(self, origins: Tensor, directions: Tensor) -> Hits: ...

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor: ...


class AnalyticSurface:
    """The exact zero set of a shape.

    Rays find it on its fine mesh by Embree, or by sphere tracing where embreex is not installed; Newton's method along
    the ray then makes either exact.

    Args:
        shape: the shape.
        texture: its solid texture, or None for one flat colour.
        largest_error: of the mesh, mean distance of its face centres from the zero set, normalised units.
    """

    FLAT_ALBEDO = 0.65

    def __init__(self, shape: Shape, texture: WaveTexture | None, largest_error: float) -> None:
        self.shape = shape
        self._texture = texture
        self.vertices, self.faces, self.sampling_error = fine_mesh(shape, largest_error)
        self._caster: RayCaster = SphereTracer(shape)
        if embree_is_installed():
            self._caster = TriangleCaster(self.vertices, self.faces)
        # The mesh and the sphere tracer are off by less than this, except at edges that a ray only grazes.
        self._largest_step = 4 * largest_error + 20 * SphereTracer.TOLERANCE

    def first_hit(self, origins: Tensor, directions: Tensor) -> Hits:
        distances, _ = self._caster.first_hit(origins, directions)
        rays = torch.nonzero(distances.isfinite()).squeeze(-1)
        distances, points, normals = self._refine(origins[rays], directions[rays], distances[rays])
        if self._texture is None:
            albedo = torch.full_like(points, self.FLAT_ALBEDO)
        else:
            albedo = self._texture.albedo(points)
        return Hits(rays, distances, points, normals, albedo)

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        return self._caster.is_blocked(origins, directions)

    def _refine(self, origins: Tensor, directions: Tensor, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Two Newton steps along each ray; distances, points and normals after them."""
        limit = self._largest_step
        for _ in range(2):
            value, gradient = self.shape.field_and_gradient(origins + distances.unsqueeze(-1) * directions)
            slope = (gradient * directions).sum(-1)
            # A ray that grazes has no stable root: its step is cut, and the mesh's answer holds.
            distances = distances + (-value / slope.clamp(max=-1e-3)).clamp(-limit, limit)
        return distances, origins + distances.unsqueeze(-1) * directions, torch.nn.functional.normalize(gradient, dim=-1)


def fine_mesh(shape: Shape, largest_error: float) -> tuple[np.ndarray, np.ndarray, float]:
    """A mesh of ``shape`` whose face centres lie within ``largest_error`` of the zero set on average.

    Returns vertices ``[V, 3]``, faces ``[F, 3]`` and the error reached (a face's centre is where it is largest).
    """
    resolution = 192
    while True:
        vertices, faces = extract_mesh(shape, resolution)
        value, gradient = shape.field_and_gradient(torch.from_numpy(vertices[faces[:: max(1, len(faces) // 50_000)]].mean(1)))
        error = float((value.abs() / gradient.norm(dim=-1)).mean())
        if error <= largest_error:
            return vertices, faces, error
        # The error falls with the square of the spacing.
        resolution = 4 * int(np.ceil(resolution * (error / (0.9 * largest_error)) ** 0.5 / 4))
