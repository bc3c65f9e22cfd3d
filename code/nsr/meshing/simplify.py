"""Smaller meshes for pages that people open."""

from __future__ import annotations

import numpy as np
import trimesh


def cluster_vertices(mesh: trimesh.Trimesh, colours: np.ndarray, most_faces: int) -> tuple[trimesh.Trimesh, np.ndarray]:
    """Merge the vertices in each cell of a grid into their mean (Rossignac and Borrel 1993), until few faces are left.

    Made to be looked at, not measured: the result may have pinched vertices.

    Args:
        mesh: any; returned as it is where it has ``most_faces`` or fewer.
        colours: ``[V, 3]`` uint8 of its vertices, merged likewise.
        most_faces: at least 4.

    Returns:
        The mesh and its vertices' colours ``[V', 3]`` uint8.
    """
    cell = np.sqrt(2 * mesh.area / most_faces)
    while len(mesh.faces) > most_faces:
        keys = np.floor((mesh.vertices - mesh.bounds[0]) / cell).astype(np.int64)
        _, cluster, count = np.unique(_numbered(keys), return_inverse=True, return_counts=True)
        faces = cluster[mesh.faces]
        distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        faces = faces[distinct]
        # a thin part's two sides may fall into the same cells: one face of each three vertices is enough
        faces = faces[np.unique(_numbered(np.sort(faces, axis=1)), return_index=True)[1]]
        if len(faces) <= most_faces:
            vertices = _means(mesh.vertices, cluster, count)
            return trimesh.Trimesh(vertices, faces, process=False), _means(colours, cluster, count).round().astype(
                np.uint8
            )
        cell *= 1.15
    return mesh, colours


def _numbered(rows: np.ndarray) -> np.ndarray:
    """One number for each of ``rows [N, 3]`` of numbers from 0, in the rows' order: quicker to sort."""
    return np.ravel_multi_index(tuple(rows.T), tuple(rows.max(axis=0, initial=0) + 1))


def _means(values: np.ndarray, cluster: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Mean of ``values [V, 3]`` over each cluster."""
    sums = [np.bincount(cluster, weights=values[:, axis], minlength=len(count)) for axis in range(3)]
    return np.stack(sums, axis=-1) / count[:, None]
