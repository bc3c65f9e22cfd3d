"""A regular grid of field values of which only the neighbourhood of the surface is evaluated.

Blocks of cells are visited coarse to fine.  A block is dropped when the value at its centre says that the surface
cannot reach it; what is left at the finest level are the leaves, two cells wide, whose corners are all evaluated, each
once.  Every cell has the same size, so there are no cracks between levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import trimesh

LEAF = 2  # cells along a leaf's edge
DENSE_BLOCKS = 64  # blocks on the shortest axis that are looked at unconditionally
SLAB = 32  # cell layers that are held as a dense array at a time; a multiple of LEAF
SMALLEST = 1e-3  # of a cell: values closer to zero are pushed out to this, so that no triangle degenerates


class SparseGrid:
    """Field values on the corners of the cells near the surface.

    Attributes:
        lower: ``[3]`` position of corner (0, 0, 0); spacing: edge of a cell.
        shape: ``[3]`` corners per axis.
        leaves: ``[shape // 2]`` bool, which leaves are evaluated.
        keys: ``[S]`` int64, sorted flat indices of the evaluated corners; values: ``[S]`` float32, in cells.

    Args:
        field: ``[N, 3]`` float32 numpy points -> ``[N]`` float32 signed distance.
        extent: ``[3]`` least size of the grid.
        gradient_bound: how steep the field may be.
    """

    def __init__(
        self,
        field: Callable[[np.ndarray], np.ndarray],
        lower: np.ndarray,
        spacing: float,
        extent: np.ndarray,
        gradient_bound: float,
    ):
        self.field, self.lower, self.spacing = field, lower, float(spacing)
        cells = np.ceil(extent / spacing - 1e-6).astype(np.int64)
        block = LEAF
        while cells.min() >= 2 * block * DENSE_BLOCKS:
            block *= 2
        blocks = -(-cells // block)
        self.shape = blocks * block + 1
        self.leaves = self._find_leaves(blocks, block, gradient_bound)
        self.keys, self.values = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        self._evaluate_leaves()
        while self._follow_surface():
            self._evaluate_leaves()

    def slab(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Cell layers ``start`` to ``start + SLAB`` along x.

        Returns:
            values ``[<= SLAB + 1, Y, Z]`` float32 with NaN where nothing was evaluated, and the leaves
            ``[<= SLAB / 2, Y / 2, Z / 2]`` bool.
        """
        stop = min(start + SLAB, self.shape[0] - 1)
        layer = int(self.shape[1] * self.shape[2])
        first, last = np.searchsorted(self.keys, [start * layer, (stop + 1) * layer])
        values = np.full((stop + 1 - start) * layer, np.nan, dtype=np.float32)
        values[self.keys[first:last] - start * layer] = self.values[first:last]
        return values.reshape(-1, *self.shape[1:]), self.leaves[start // LEAF : stop // LEAF]

    def _find_leaves(self, blocks: np.ndarray, block: int, gradient_bound: float) -> np.ndarray:
        """Refine from a dense grid of blocks to the leaves that the surface can reach."""
        indices = np.indices(blocks).reshape(3, -1).T
        distance = self._at(indices * block + block / 2)
        near = np.abs(distance) <= gradient_bound * block * np.sqrt(3) / 2
        near |= _beside_sign_change(distance.reshape(blocks)).reshape(-1)
        indices = indices[near]
        corners = np.indices((2, 2, 2)).reshape(3, -1).T
        while block > LEAF:
            block //= 2
            indices = (indices[:, None] * 2 + corners).reshape(-1, 3)
            distance = self._at(indices * block + block / 2)
            indices = indices[np.abs(distance) <= gradient_bound * block * np.sqrt(3) / 2]
        leaves = np.zeros((self.shape - 1) // LEAF, dtype=bool)
        leaves[tuple(indices.T)] = True
        return leaves

    def _evaluate_leaves(self) -> None:
        """Evaluate the corners of all leaves that have no value yet."""
        layer = self.shape[1] * self.shape[2]
        keys = []
        for start in range(0, self.shape[0], SLAB):
            # the leaf before the slab shares its first layer of corners
            before = max(start - LEAF, 0)
            needed = _corners_of(self.leaves[before // LEAF : (start + SLAB) // LEAF])
            needed = needed[start - before :][: min(SLAB, self.shape[0] - start)]
            keys.append(np.flatnonzero(needed) + start * layer)
        keys = np.concatenate(keys)
        new = keys[~np.isin(keys, self.keys, assume_unique=True)]
        corners = np.stack(np.unravel_index(new, tuple(self.shape)), axis=-1)
        values = self._at(corners)
        values = np.where(values < 0, np.minimum(values, -SMALLEST), np.maximum(values, SMALLEST))
        keys = np.concatenate([self.keys, new])
        order = np.argsort(keys, kind="stable")
        self.keys, self.values = keys[order], np.concatenate([self.values, values.astype(np.float32)])[order]

    def _follow_surface(self) -> bool:
        """Add the leaves that the surface enters from an evaluated neighbour; whether there were any."""
        found = False
        for start in range(0, self.shape[0] - 1, SLAB):
            values, leaves = self.slab(start)
            crossed = _any_corner(values < 0) & _any_corner(values > 0) & ~leaves
            found |= bool(crossed.any())
            leaves |= crossed  # a view: this marks self.leaves
        return found

    def _at(self, corners: np.ndarray, chunk: int = 1 << 20) -> np.ndarray:
        """Field values at grid coordinates ``[N, 3]``, in cells."""
        found = [
            self.field((self.lower + corners[start : start + chunk] * self.spacing).astype(np.float32))
            for start in range(0, len(corners), chunk)
        ]
        return np.concatenate(found) / self.spacing if found else np.empty(0, dtype=np.float32)


def march(grid: SparseGrid) -> trimesh.Trimesh | None:
    """Marching cubes over the evaluated cells (Lewiner et al. 2003, scikit-image), slab by slab.

    Returns:
        A mesh with outward normals and shared vertices, or None where the grid has no sign change.
    """
    from skimage.measure import marching_cubes

    vertices, faces = [], []
    count, border = 0, None  # border: in-plane positions and indices of the last slab's topmost vertices
    for start in range(0, grid.shape[0] - 1, SLAB):
        values, leaves = grid.slab(start)
        if not (np.nanmin(values, initial=1) < 0 < np.nanmax(values, initial=-1)):
            border = None
            continue
        cells = np.zeros(values.shape, dtype=bool)
        cells[1:, 1:, 1:] = leaves.repeat(LEAF, 0).repeat(LEAF, 1).repeat(LEAF, 2)
        points, triangles, _, _ = marching_cubes(np.nan_to_num(values, nan=1.0), 0.0, mask=cells)
        index = np.arange(len(points)) + count
        if border is not None:
            bottom = np.flatnonzero(points[:, 0] == 0)
            index[bottom] = _match(border, points[bottom, 1:])
            kept = np.setdiff1d(np.arange(len(points)), bottom, assume_unique=True)
            index[kept] = np.arange(len(kept)) + count
        else:
            kept = np.arange(len(points))
        top = np.flatnonzero(points[:, 0] == len(values) - 1)
        border = (points[top, 1:], index[top]) if len(top) else None
        vertices.append(points[kept].astype(np.float64) + [start, 0, 0])
        faces.append(index[triangles])
        count += len(kept)
    if not vertices:
        return None
    return trimesh.Trimesh(np.concatenate(vertices) * grid.spacing + grid.lower, np.concatenate(faces), process=False)


def _match(border: tuple[np.ndarray, np.ndarray], points: np.ndarray) -> np.ndarray:
    """Indices of the vertices in ``border`` at ``points``: both slabs computed them from the same two values."""
    positions, indices = border
    order = np.lexsort(positions.T)
    matched = np.empty(len(points), dtype=np.int64)
    matched[np.lexsort(points.T)] = indices[order]
    return matched


def _corners_of(leaves: np.ndarray) -> np.ndarray:
    """Bool corners ``[2 A + 1, 2 B + 1, 2 C + 1]`` of bool leaves ``[A, B, C]``."""
    corners = leaves
    for axis in range(3):
        corners = np.moveaxis(corners, axis, 0)
        wider = np.zeros((LEAF * len(corners) + 1, *corners.shape[1:]), dtype=bool)
        for offset in range(LEAF + 1):
            wider[offset : offset + LEAF * len(corners) : LEAF] |= corners
        corners = np.moveaxis(wider, 0, axis)
    return corners


def _any_corner(corners: np.ndarray) -> np.ndarray:
    """Bool leaves with any of their corners set: the reverse of ``_corners_of``."""
    for axis in range(3):
        corners = np.moveaxis(corners, axis, 0)
        count = (len(corners) - 1) // LEAF
        leaves = corners[0 : LEAF * count : LEAF].copy()
        for offset in range(1, LEAF + 1):
            leaves |= corners[offset : offset + LEAF * count : LEAF]
        corners = np.moveaxis(leaves, 0, axis)
    return corners


def _beside_sign_change(values: np.ndarray) -> np.ndarray:
    """Which entries of ``[A, B, C]`` differ in sign from a face neighbour."""
    inside = values < 0
    beside = np.zeros_like(inside)
    for axis in range(3):
        lower = np.moveaxis(inside, axis, 0)
        change = lower[1:] != lower[:-1]
        marked = np.moveaxis(beside, axis, 0)
        marked[1:] |= change
        marked[:-1] |= change
    return beside
