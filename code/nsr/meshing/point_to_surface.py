"""Distances from points to the surface of a mesh: to the triangles, not to points sampled on them."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from nsr.errors import NsrError

FEWEST_PIECES = 200_000  # large triangles are cut until the mesh has about so many pieces
MOST_CANDIDATES = 128
PAIRS_AT_ONCE = 20_000  # few enough for a processor's cache


class SurfaceIndex:
    """A mesh ready for queries of its closest point.

    Large triangles are cut into pieces, whose centroids a k-d tree holds; the exact distance is then taken to the
    (whole) triangles of the nearest pieces, as many as it needs.  With d the distance found and r the largest piece's
    radius, a piece whose centroid is further than d + r holds no closer point; nor does one further than
    sqrt(d^2 + r^2) where the closest point lies inside a face, so that far from the surface twice r is enough there.

    Args:
        mesh: any triangles.

    Raises:
        NsrError: the mesh has no faces.
    """

    def __init__(self, mesh: trimesh.Trimesh):
        if len(mesh.faces) == 0:
            raise NsrError("distances need a surface, and this mesh has no faces")
        self.triangles = np.asarray(mesh.triangles, dtype=np.float64)
        longest = np.sqrt(4 * mesh.area / FEWEST_PIECES)
        vertices, faces, self.origin = trimesh.remesh.subdivide_to_size(
            mesh.vertices, mesh.faces, longest, max_iter=30, return_index=True
        )
        pieces = vertices[faces]
        centroids = pieces.mean(axis=1)
        self.radius = float(np.linalg.norm(pieces - centroids[:, None], axis=2).max())
        self.tree = cKDTree(centroids)

    def query(self, points: np.ndarray, most_candidates: int = MOST_CANDIDATES) -> tuple[np.ndarray, np.ndarray]:
        """The closest triangle of each point.

        Args:
            points: ``[N, 3]`` in the mesh's frame.
            most_candidates: pieces that are looked at for a point before the search stops; a few are fast, and give
                distances that are never too small but here and there too large.

        Returns:
            distance ``[N]`` in its units, and face index ``[N]``.  The distance is exact near the surface; several
            pieces' radii away, it may be too large by at most one radius where the closest point lies on a sharp edge.
        """
        distance = np.full(len(points), np.inf)
        face = np.zeros(len(points), dtype=np.int64)
        open_points = np.arange(len(points))
        most_candidates = min(most_candidates, self.tree.n)
        candidates = min(8, most_candidates)
        while len(open_points):
            reach, pieces = self.tree.query(points[open_points], k=candidates)
            reach, pieces = reach.reshape(len(open_points), -1), pieces.reshape(len(open_points), -1)
            found, closest = self._closest(points[open_points], self.origin[pieces])
            distance[open_points], face[open_points] = found, closest
            if candidates == most_candidates:
                break
            enough = np.minimum(found + self.radius, np.sqrt(found**2 + 4 * self.radius**2))
            open_points = open_points[reach[:, -1] < enough]
            candidates = min(4 * candidates, most_candidates)
        return distance, face

    def _closest(self, points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of each point's candidate faces ``[N, K]``: distance and face."""
        distance, face = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
        step = max(PAIRS_AT_ONCE // faces.shape[1], 1)
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            apart = squared_distances(points[rows, None], self.triangles[faces[rows]])
            best = apart.argmin(axis=1)
            each = np.arange(len(best))
            distance[rows], face[rows] = np.sqrt(apart[each, best]), faces[rows][each, best]
        return distance, face


def squared_distances(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Squared distances of points ``[..., 3]`` to triangles ``[..., 3, 3]`` (shapes broadcast without the last axes).

    The distance is to the plane where the point's foot lies inside the triangle, else the least to the three edges.
    Several times faster than trimesh's, which is what bounds an evaluation.
    """
    a, b, c = (np.ascontiguousarray(np.moveaxis(triangles[..., corner, :], -1, 0)) for corner in range(3))
    p = np.ascontiguousarray(np.moveaxis(points, -1, 0))
    edges, offsets = (b - a, c - b, a - c), (p - a, p - b, p - c)
    normal = _cross(edges[0], edges[1])
    area = _dot(normal, normal)
    inside, least = area > 0, np.inf
    for edge, offset in zip(edges, offsets, strict=True):
        inside = inside & (_dot(_cross(edge, offset), normal) >= 0)
        length = _dot(edge, edge)
        along = (_dot(offset, edge) / np.where(length > 0, length, 1)).clip(0, 1)
        beyond = offset - along * edge
        least = np.minimum(least, _dot(beyond, beyond))
    height = _dot(offsets[0], normal)
    return np.where(inside, height * height / np.where(area > 0, area, 1), least)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
