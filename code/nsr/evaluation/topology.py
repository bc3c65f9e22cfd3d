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
    _, merged = np.unique(np.asarray(mesh.vertices), axis=0, return_inverse=True)
    faces = merged.reshape(-1)[np.asarray(mesh.faces)]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if len(faces) == 0:
        return Topology(0, 0, 0, 0)
    edges = np.sort(np.concatenate([faces[:, :2], faces[:, 1:], faces[:, ::2]]), axis=1)
    edges, uses = np.unique(edges, axis=0, return_counts=True)
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
    vertices, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), dtype=bool), tuple(ends.T)), shape=(len(vertices),) * 2)
    return len(vertices), int(connected_components(graph, directed=False)[0])
