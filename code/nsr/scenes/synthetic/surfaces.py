"""What rays can meet: the contract between surfaces and the renderer, normalised frame throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

#: Albedo of an object without texture.
FLAT_ALBEDO = 0.65


@dataclass
class Hits:
    """Where rays first meet a surface; only the rays that do.

    Attributes:
        rays: ``[M]`` int64, which rays hit, ascending.
        distances: ``[M]`` along the unit directions.
        points, normals, albedo: ``[M, 3]``; normals are unit and point out of the object, albedo is in [0, 1].
    """

    rays: Tensor
    distances: Tensor
    points: Tensor
    normals: Tensor
    albedo: Tensor


class Visible(Protocol):
    """Something that rays can meet."""

    def first_hit(self, origins: Tensor, directions: Tensor) -> Hits:
        """First hits of rays ``origins, directions [N, 3]`` float32, directions unit."""


class Surface(Visible, Protocol):
    """An object: it also blocks light, and has a ground-truth mesh (``vertices [V, 3]``, ``faces [F, 3]``)."""

    vertices: np.ndarray
    faces: np.ndarray

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        """``[N]`` bool: the ray meets the object."""
