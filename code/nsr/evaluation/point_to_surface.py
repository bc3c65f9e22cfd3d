"""Distances from points to the surface of a mesh: to the triangles, not to points sampled on them."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.spatial import cKDTree

from nsr.errors import NsrError

FEWEST_PIECES = 200_000  # large triangles are cut until the mesh has about so many pieces
MOST_CANDIDATES = 256


class SurfaceIndex:
    """A mesh ready for queries of its closest point.

    Large triangles are cut into pieces, whose centroids a k-d tree holds; the exact distance is then taken to the
    (whole) triangles of the nearest pieces, as many as it needs for the answer to be certain: a piece whose centroid
    is further than the distance found plus the largest piece's radius cannot hold a closer point.

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

    def query(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The closest triangle of each point.

        Args:
            points: ``[N, 3]`` in the mesh's frame.

        Returns:
            distance ``[N]`` in its units, and face index ``[N]``.  The distance is exact where the point lies within
            a good hundred pieces' width of the surface; further away it may be too large by at most a piece's radius.
        """
        distance = np.full(len(points), np.inf)
        face = np.zeros(len(points), dtype=np.int64)
        open_points = np.arange(len(points))
        candidates = min(8, self.tree.n)
        while len(open_points):
            reach, pieces = self.tree.query(points[open_points], k=candidates)
            reach, pieces = reach.reshape(len(open_points), -1), pieces.reshape(len(open_points), -1)
            found, closest = self._closest(points[open_points], self.origin[pieces])
            distance[open_points], face[open_points] = found, closest
            if candidates == min(MOST_CANDIDATES, self.tree.n):
                break
            open_points = open_points[reach[:, -1] < found + self.radius]
            candidates = min(4 * candidates, MOST_CANDIDATES, self.tree.n)
        return distance, face

    def _closest(self, points: np.ndarray, faces: np.ndarray, chunk: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of each point's candidate faces ``[N, K]``: distance and face."""
        distance, face = np.empty(len(points)), np.empty(len(points), dtype=np.int64)
        step = max(chunk // faces.shape[1], 1)
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            repeated = np.repeat(points[rows], faces.shape[1], axis=0)
            closest = trimesh.triangles.closest_point(self.triangles[faces[rows].reshape(-1)], repeated)
            apart = np.linalg.norm(closest - repeated, axis=1).reshape(-1, faces.shape[1])
            best = apart.argmin(axis=1)
            each = np.arange(len(best))
            distance[rows], face[rows] = apart[each, best], faces[rows][each, best]
        return distance, face
