"""How a surface hangs together: pieces, holes and handles."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


@dataclass
class Topology:
    """Of a triangle mesh whose vertices are merged where they coincide.

    Attributes:
        components: connected pieces.
        boundary_edges: edges of one face; 0 for a watertight mesh.
        holes: closed lines that boundary edges form.
        genus: handles in all components together, holes closed; None where an edge has more than two faces.
    """

    components: int
    boundary_edges: int
    holes: int
    genus: int | None

    @property
    def watertight(self) -> bool:
        return self.boundary_edges == 0 and self.genus is not None


def measure_topology(mesh: trimesh.Trimesh) -> Topology:
    """Count from Euler's formula: ``V - E + F = 2 components - 2 genus - holes``."""
    faces = _merged(np.asarray(mesh.vertices))[np.asarray(mesh.faces)]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if len(faces) == 0:
        return Topology(0, 0, 0, 0)
    edges = np.sort(np.concatenate([faces[:, :2], faces[:, 1:], faces[:, ::2]]), axis=1).astype(np.int64)
    # one number an edge: rows take ten times as long to sort
    keys, uses = np.unique(edges[:, 0] << 32 | edges[:, 1], return_counts=True)
    edges = np.stack([keys >> 32, keys & 0xFFFFFFFF], axis=1)
    boundary = edges[uses == 1]
    used, components = _pieces(edges)
    _, holes = _pieces(boundary)
    handles = 2 * components - holes - (used - len(edges) + len(faces))
    genus = handles // 2 if (uses <= 2).all() and handles % 2 == 0 else None
    return Topology(components, len(boundary), holes, genus)


def compare_topology(floating: Topology, mesh: Topology, truth: Topology | None) -> dict:
    """What ``metrics.json`` says of it.

    Args:
        floating: of everything in the bounding sphere, on a coarse grid; mesh: of the largest piece, as it is written;
        truth: of the true surface, or None.
    """
    figures = asdict(mesh) | {"components": floating.components, "watertight": mesh.watertight}
    known = {"true_components": None, "true_genus": None} if truth is None else {
        "true_components": truth.components, "true_genus": truth.genus
    }  # fmt: skip
    return figures | known


def _pieces(edges: np.ndarray) -> tuple[int, int]:
    """Number of vertices that ``edges [N, 2]`` use, and of the connected pieces that they form."""
    if len(edges) == 0:
        return 0, 0
    used = np.zeros(edges.max() + 1, dtype=bool)
    used[edges] = True
    ends, count = (np.cumsum(used) - 1)[edges], int(used.sum())
    graph = coo_matrix((np.ones(len(ends), dtype=bool), tuple(ends.T)), shape=(count, count))
    return count, int(connected_components(graph, directed=False)[0])


def _merged(vertices: np.ndarray) -> np.ndarray:
    """``[V]`` numbers of vertices ``[V, 3]``, the same where their positions are equal."""
    order = np.lexsort(vertices.T)
    new = (np.diff(vertices[order], axis=0) != 0).any(axis=1)
    numbers = np.empty(len(vertices), dtype=np.int64)
    numbers[order] = np.concatenate([np.zeros(min(len(order), 1), dtype=np.int64), new.cumsum()])
    return numbers
