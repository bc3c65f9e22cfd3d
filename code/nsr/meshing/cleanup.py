"""What is kept of an extracted mesh, and which way it faces."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from nsr.errors import NsrError


def largest_component(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The connected component (faces that share a vertex) with the largest area.

    Raises:
        NsrError: the mesh has no faces.
    """
    labels, areas = _components(mesh)
    return keep_faces(mesh, labels == areas.argmax())


def significant_components(mesh: trimesh.Trimesh, fraction: float = 0.01) -> trimesh.Trimesh:
    """The components with at least ``fraction`` of the largest one's area: the object without its crumbs.

    Raises:
        NsrError: the mesh has no faces.
    """
    labels, areas = _components(mesh)
    return keep_faces(mesh, (areas >= fraction * areas.max())[labels])


def without_hollows(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A closed mesh without the walls of hollows inside the solid, which no camera sees: components whose normals
    point inward.

    Raises:
        NsrError: the mesh has no faces.
    """
    labels, areas = _components(mesh)
    if len(areas) == 1:
        return mesh
    solid = _volumes(mesh, labels) > 0
    solid[areas.argmax()] = True
    return keep_faces(mesh, solid[labels])


def orient_outward(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A copy whose components each face away from their middle; each must be wound consistently.

    Marching cubes needs none of this; meshes from elsewhere (a ground truth, a scan) may.  A component is turned
    where the volume that it encloses, seen from its mean vertex, is negative; it need not be closed.  A hollow inside
    a solid, whose normals should point into the hollow, is taken for a solid.
    """
    labels, _ = _components(mesh)
    inverted = (_volumes(mesh, labels) < 0)[labels]
    faces = np.where(inverted[:, None], mesh.faces[:, ::-1], mesh.faces)
    return trimesh.Trimesh(mesh.vertices, faces, process=False)


def _volumes(mesh: trimesh.Trimesh, labels: np.ndarray) -> np.ndarray:
    """Six times the volume that each component encloses, seen from its middle; negative where normals point inward."""
    triangles = mesh.triangles
    count = np.bincount(labels)
    sums = [np.bincount(labels, weights=triangles[..., axis].mean(axis=1)) for axis in range(3)]
    from_middle = triangles - (np.stack(sums, axis=-1) / count[:, None])[labels][:, None]
    a, b, c = (from_middle[:, corner] for corner in range(3))
    return np.bincount(labels, weights=np.einsum("ij,ij->i", a, np.cross(b, c)))


def _components(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Component of each face ``[F]`` and area of each component."""
    if len(mesh.faces) == 0:
        raise NsrError("the mesh has no faces: there is no surface to keep")
    faces, count = mesh.faces, len(mesh.vertices)
    starts = np.concatenate([faces[:, 0], faces[:, 1]]).astype(np.int32)
    ends = np.concatenate([faces[:, 1], faces[:, 2]]).astype(np.int32)
    graph = coo_matrix((np.ones(len(starts), dtype=bool), (starts, ends)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1][faces[:, 0]]
    if labels.max() == 0:  # no need of the areas, which take as much memory as the mesh
        return labels, np.ones(1)
    return labels, np.bincount(labels, weights=mesh.area_faces)


def keep_faces(mesh: trimesh.Trimesh, kept: np.ndarray) -> trimesh.Trimesh:
    """The mesh of the faces in ``kept`` (bool ``[F]``) and only the vertices that they use."""
    if kept.all():
        return mesh
    faces = mesh.faces[kept]
    used = np.zeros(len(mesh.vertices), dtype=bool)
    used[faces] = True
    renumbered = np.cumsum(used) - 1
    return trimesh.Trimesh(mesh.vertices[used], renumbered[faces], process=False)
