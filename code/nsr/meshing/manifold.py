"""Closed two-manifolds: the test, and the cut that makes one of a surface that touches itself.

Guéziec, Taubin, Lazarus and Horn, "Cutting and Stitching: Converting Sets of Polygons to Manifold Surfaces" (2001),
for closed, consistently wound meshes: edges where two sheets of the surface touch are cut apart by doubling their
vertices, which moves nothing.
"""

from __future__ import annotations

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

_ROUNDS = 4  # a cut may leave two sheets joined at both ends of an edge; the next round pairs them the other way


def is_closed_manifold(faces: np.ndarray) -> bool:
    """Whether every edge of ``faces [F, 3]`` has two faces, wound alike, and every vertex one fan of faces."""
    return (
        len(faces) > 0 and not _bad_edges(faces).any() and len(np.unique(_stitched(faces, 0))) == len(np.unique(faces))
    )


def make_manifold(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """A copy in which edges of four (six, ...) faces and vertices of several fans are cut apart.

    Pairs of faces with the same three vertices and opposite windings (fins without a volume) are dropped first.  The
    surface stays where it is; only vertices are doubled.  A mesh that is manifold comes back as it is, an open one
    with its borders open.
    """
    faces = _without_fins(np.asarray(mesh.faces))
    if len(faces) == len(mesh.faces) and is_closed_manifold(faces):
        return mesh
    vertices = np.asarray(mesh.vertices)
    for attempt in range(_ROUNDS):
        corners = _stitched(faces, attempt)
        _, first, renumbered = np.unique(corners, return_index=True, return_inverse=True)
        vertices, faces = vertices[faces.reshape(-1)[first]], renumbered.reshape(-1, 3)
        if not _bad_edges(faces).any():
            break
    return trimesh.Trimesh(vertices, faces, process=False)


def _without_fins(faces: np.ndarray) -> np.ndarray:
    """Faces without those of two equal vertices, and without pairs on the same three vertices."""
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[distinct]
    _, which, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
    return faces[count[which.reshape(-1)] == 1]


def _half_edges(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the 3 F half-edges (corner k to corner k + 1 of each face): undirected key, direction, and start corner."""
    starts, ends = faces.reshape(-1), faces[:, [1, 2, 0]].reshape(-1)
    low, high = np.minimum(starts, ends).astype(np.int64), np.maximum(starts, ends).astype(np.int64)
    return low * (int(faces.max()) + 1) + high, starts < ends, np.arange(len(starts))


def _bad_edges(faces: np.ndarray) -> np.ndarray:
    """Per undirected edge, whether it has not exactly one face on each side."""
    keys, forward, _ = _half_edges(faces)
    _, which, count = np.unique(keys, return_inverse=True, return_counts=True)
    balance = np.bincount(which.reshape(-1), weights=np.where(forward, 1, -1))
    return (count != 2) | (balance != 0)


def _stitched(faces: np.ndarray, shift: int) -> np.ndarray:
    """A label per corner ``[3 F]``: equal where corners stay one vertex once all edges are cut and stitched in pairs.

    The half-edges of an edge are paired, one of each direction; where there are several pairs, ``shift`` turns which
    forward one meets which backward one.
    """
    keys, forward, corner = _half_edges(faces)
    order = np.lexsort((corner, ~forward, keys))
    _, start, count = np.unique(keys[order], return_index=True, return_counts=True)
    ahead = np.add.reduceat(forward[order].astype(np.int64), start)
    paired = np.minimum(ahead, count - ahead)
    edge = np.repeat(np.arange(len(start)), paired)
    place = np.arange(len(edge)) - np.repeat(np.cumsum(paired) - paired, paired)
    first = order[start[edge] + place]
    second = order[start[edge] + ahead[edge] + (place + shift) % paired[edge]]
    following = np.where(np.arange(faces.size) % 3 == 2, -2, 1) + np.arange(faces.size)
    rows = np.concatenate([first, following[first]])
    columns = np.concatenate([following[second], second])
    graph = coo_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(faces.size, faces.size))
    return connected_components(graph, directed=False)[1]
