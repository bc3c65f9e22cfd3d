"""Points on a mesh as the DTU protocol takes them: dense on every triangle, then thinned to an even spacing.

Jensen et al., "Large Scale Multi-view Stereopsis Evaluation" (2014); the steps are those of the evaluation that has
become common for meshes, with MATLAB's thinning of points closer than 0.2 mm.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

_TRIANGLES_AT_ONCE = 200_000
_SLAB_POINTS = 400_000


def sample_mesh(vertices: np.ndarray, faces: np.ndarray, spacing: float) -> np.ndarray:
    """The vertices, and on every triangle the points of a grid whose cells are about ``spacing`` wide.

    Along a triangle's two edges e1, e2 from its first corner the grid has floor(|e1| / t) and floor(|e2| / t) cells,
    with t = spacing sqrt(|e1| |e2| / (2 area)); a point stands in the middle of each cell whose middle is inside.

    Args:
        vertices: ``[V, 3]``; faces: ``[F, 3]``; spacing: in their unit (mm on DTU).

    Returns:
        ``[N, 3]`` float64, vertices first.
    """
    found = [np.asarray(vertices, dtype=np.float64)]
    for start in range(0, len(faces), _TRIANGLES_AT_ONCE):
        found.append(_inside_triangles(found[0][faces[start : start + _TRIANGLES_AT_ONCE]], spacing))
    return np.concatenate(found)


def _inside_triangles(triangles: np.ndarray, spacing: float) -> np.ndarray:
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.linalg.norm(np.cross(first, second), axis=1)
    kept = area > 0
    first, second, area, corner = first[kept], second[kept], area[kept], triangles[kept, 0]
    lengths = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    step = spacing * np.sqrt(lengths[0] * lengths[1] / area)
    cells = [np.floor(length / step).astype(np.int64) for length in lengths]
    # the grid of the protocol is one cell longer each way; those middles are outside the triangle
    count = cells[0] * cells[1]
    which = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    u = (place // cells[1][which] + 0.5) / cells[0][which]
    v = (place % cells[1][which] + 0.5) / cells[1][which]
    inside = u + v < 1
    which, u, v = which[inside], u[inside, None], v[inside, None]
    return first[which] * u + second[which] * v + corner[which]


def thin(points: np.ndarray, spacing: float, seed: int = 0) -> np.ndarray:
    """Of ``points [N, 3]``, a subset of which no two are within ``spacing`` and that leaves no other to add.

    Points are visited in a random order, and each is kept unless one within ``spacing`` was kept before.  So that
    memory stays bounded, the order is random within slabs along the longest axis, which follow each other.
    """
    axis = int(np.ptp(points, axis=0).argmax()) if len(points) else 0
    points = points[np.random.default_rng(seed).permutation(len(points))]
    slabs = max(1, -(-len(points) // _SLAB_POINTS))
    bounds = np.quantile(points[:, axis], np.linspace(0, 1, slabs + 1)[1:-1]) if slabs > 1 else np.empty(0)
    slab = np.searchsorted(bounds, points[:, axis], side="right")
    kept: list[np.ndarray] = []
    border = np.empty((0, 3))
    for number in range(slabs):
        part = points[slab == number]
        if len(border) and len(part):
            part = part[
                ~np.isfinite(cKDTree(border).query(part, distance_upper_bound=np.nextafter(spacing, np.inf))[0])
            ]
        part = part[_first_come(part, spacing)]
        kept.append(part)
        # what the next slabs can be close to: slabs may be thinner than the spacing
        reachable = np.concatenate([border, part])
        border = reachable[reachable[:, axis] >= bounds[number] - spacing] if number < len(bounds) else border
    return np.concatenate(kept)


def _first_come(points: np.ndarray, spacing: float) -> np.ndarray:
    """``[N]`` bool: kept, where no earlier kept point is within ``spacing``.

    The sequential rule, settled in rounds: a point without an undecided earlier neighbour is kept, and its later
    neighbours go.
    """
    pairs = cKDTree(points).query_pairs(spacing, output_type="ndarray") if len(points) else np.empty((0, 2), int)
    earlier, later = pairs.min(axis=1, initial=len(points)), pairs.max(axis=1, initial=-1)
    kept = np.zeros(len(points), dtype=bool)
    undecided = np.ones(len(points), dtype=bool)
    while undecided.any():
        blocked = np.zeros(len(points), dtype=bool)
        blocked[later] = True
        chosen = undecided & ~blocked
        kept |= chosen
        undecided &= ~chosen
        undecided[later[chosen[earlier]]] = False
        open_pairs = undecided[earlier] & undecided[later]
        earlier, later = earlier[open_pairs], later[open_pairs]
    return kept
