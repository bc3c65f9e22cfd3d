"""Fewer triangles within a stated distance of the surface.

Quadric edge collapse (Garland and Heckbert 1997) by ``fast-simplification``; what it did is measured, not trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from nsr.errors import NsrError
from nsr.meshing.manifold import make_manifold
from nsr.meshing.point_to_surface import SurfaceIndex

FEWEST_FACES = 100
MEASURED_POINTS = 50_000  # of each surface
CANDIDATES = 8  # triangles' pieces that a point's distance is measured to
_BISECTIONS = 3


@dataclass
class Decimation:
    """A smaller mesh, and the largest distance between the two surfaces, both ways, in the mesh's units.

    It is measured at the vertices of the original and at the vertices and face centres of the result (of more than
    50,000 an even choice), never as less than it is there.
    """

    mesh: trimesh.Trimesh
    error: float


def decimate(mesh: trimesh.Trimesh, faces: int | None = None, max_error: float | None = None) -> Decimation:
    """Collapse edges, until about ``faces`` are left or the surface would move by more than ``max_error``.

    A closed manifold stays one: the few edges at which quadric collapses make two sheets touch are cut apart again.

    Args:
        mesh: closed or open; borders stay where they are as far as the quadrics hold them.
        faces: wanted number; a mesh with fewer comes back as it is.  With ``max_error`` as well, the fewest allowed.
        max_error: largest distance between the surfaces, in the mesh's units; as few faces as it allows are kept.

    Raises:
        NsrError: neither is given, one is not above zero, the mesh has no faces, or the library is not installed.
    """
    if faces is None and max_error is None:
        raise NsrError("decimation needs a number of faces or a largest error")
    if (faces is not None and faces < 4) or (max_error is not None and not max_error > 0):
        raise NsrError(f"decimation to {faces} faces within {max_error}: at least 4 faces and an error above zero")
    if len(mesh.faces) == 0:
        raise NsrError("a mesh without faces cannot be decimated")
    target = faces or FEWEST_FACES
    if len(mesh.faces) <= target:
        return Decimation(mesh, 0.0)
    if max_error is None:
        smaller = _collapse(mesh, target)
        return Decimation(smaller, _Ruler(mesh).distance(smaller))
    return _within(mesh, target, max_error)


def _within(mesh: trimesh.Trimesh, fewest: int, max_error: float) -> Decimation:
    """Halve the faces while the error allows it, then search between the last that was allowed and the first not."""
    ruler = _Ruler(mesh)
    kept = Decimation(mesh, 0.0)
    too_few = None
    while too_few is None and len(kept.mesh.faces) > fewest:
        tried = _collapse(kept.mesh, max(len(kept.mesh.faces) // 2, fewest))
        error = ruler.distance(tried)
        if error > max_error or len(tried.faces) >= len(kept.mesh.faces):
            too_few = len(tried.faces)
        else:
            kept = Decimation(tried, error)
    for _ in range(_BISECTIONS if too_few is not None else 0):
        middle = (too_few + len(kept.mesh.faces)) // 2
        tried = _collapse(kept.mesh, middle)
        error = ruler.distance(tried)
        if error <= max_error and len(tried.faces) < len(kept.mesh.faces):
            kept = Decimation(tried, error)
        else:
            too_few = middle
    return kept


def _collapse(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    try:
        from fast_simplification import simplify
    except ImportError as error:
        raise NsrError("decimation needs fast-simplification: pip install 'nsr[mesh]'") from error
    vertices = np.asarray(mesh.vertices, dtype=np.float64)
    # the library stops at absolute thresholds of its quadrics: one size for all meshes
    middle, size = vertices.mean(axis=0), float(np.ptp(vertices, axis=0).max())
    vertices, kept = simplify((vertices - middle) / size, mesh.faces.astype(np.int32), target_count=faces)
    return make_manifold(trimesh.Trimesh(vertices * size + middle, kept, process=False))


class _Ruler:
    """Distances between one mesh and its smaller versions."""

    def __init__(self, mesh: trimesh.Trimesh):
        self.index = SurfaceIndex(mesh)
        self.points = _even_choice(mesh.vertices)

    def distance(self, smaller: trimesh.Trimesh) -> float:
        """The largest, both ways."""
        ends = np.concatenate([smaller.vertices, smaller.triangles_center])
        ends = _even_choice(ends)
        forward = SurfaceIndex(smaller).query(self.points, CANDIDATES)[0].max()
        return float(max(forward, self.index.query(ends, CANDIDATES)[0].max()))


def _even_choice(points: np.ndarray) -> np.ndarray:
    return points[:: -(-len(points) // MEASURED_POINTS)]
