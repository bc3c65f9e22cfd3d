"""Which texel of a texture lies where on the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from nsr.meshing.unwrap import Unwrapped

_AT_ONCE = 4_000_000  # candidate texels of a block of triangles
_EDGE = 1e-9  # of a triangle's barycentric coordinates: a texel centre on an edge belongs to both sides


@dataclass
class Texels:
    """The texels that the charts cover.

    Attributes:
        size: (H, W) of the texture, row 0 at the top.
        index: ``[N]`` flat texel indices, sorted.
        face: ``[N]`` the triangle that covers the texel's centre.
        weights: ``[N, 3]`` barycentric coordinates of the centre in it.
    """

    size: tuple[int, int]
    index: np.ndarray
    face: np.ndarray
    weights: np.ndarray

    def interpolate(self, faces: np.ndarray, values: np.ndarray) -> np.ndarray:
        """``[N, C]`` values at the texels from values ``[V, C]`` at the vertices of ``faces [F, 3]``."""
        corners = faces[self.face]
        return sum(self.weights[:, corner, None] * values[corners[:, corner]] for corner in range(3))

    def picture(self, colours: np.ndarray) -> np.ndarray:
        """``[H, W, 3]`` uint8 texture of ``colours [N, 3]`` uint8; what no chart covers takes the nearest texel's."""
        covered = np.zeros(self.size[0] * self.size[1], dtype=bool)
        covered[self.index] = True
        flat = np.zeros((len(covered), 3), dtype=np.uint8)
        flat[self.index] = colours
        nearest = distance_transform_edt(~covered.reshape(self.size), return_distances=False, return_indices=True)
        return flat.reshape(*self.size, 3)[tuple(nearest)]


def rasterise(unwrapped: Unwrapped) -> Texels:
    """Find the texels whose centres lie in a triangle of the texture plane; of two on an edge, the lower face's."""
    height, width = unwrapped.size
    # texel (row r, column c) has its centre at u = (c + 1/2) / W, v = 1 - (r + 1/2) / H
    plane = np.stack([unwrapped.uv[:, 0] * width - 0.5, (1 - unwrapped.uv[:, 1]) * height - 0.5], axis=-1)
    triangles = plane[unwrapped.mesh.faces]
    low = np.ceil(triangles.min(axis=1) - _EDGE).astype(np.int64).clip(0, None)
    high = np.floor(triangles.max(axis=1) + _EDGE).astype(np.int64).clip(None, [width - 1, height - 1])
    extent = (high - low + 1).clip(0, None)
    boxes = extent.prod(axis=1)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    ends = np.cumsum(boxes)
    start = 0
    while start < len(boxes):
        done = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), start + 1)
        found.append(_covered(triangles, low, extent, np.arange(start, stop), width))
        start = stop
    index, face, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    index, first = np.unique(index, return_index=True)
    return Texels(unwrapped.size, index, face[first], weights[first])


def _covered(triangles, low, extent, which, width) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat texel index, face and weights of the texels inside the triangles ``which``."""
    boxes = extent[which].prod(axis=1)
    face = np.repeat(which, boxes)
    place = np.arange(len(face)) - np.repeat(np.cumsum(boxes) - boxes, boxes)
    column = low[face, 0] + place % extent[face, 0].clip(1, None)
    row = low[face, 1] + place // extent[face, 0].clip(1, None)
    a, b, c = (triangles[face, corner] for corner in range(3))
    point = np.stack([column, row], axis=-1)
    area = _cross(b - a, c - a)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = np.stack([_cross(b - point, c - point), _cross(c - point, a - point)], axis=-1) / area[:, None]
    weights = np.concatenate([weights, 1 - weights.sum(axis=1, keepdims=True)], axis=1)
    inside = (weights >= -_EDGE).all(axis=1) & (area != 0)
    return row[inside] * width + column[inside], face[inside], weights[inside]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
