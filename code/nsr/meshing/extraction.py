"""From a signed distance field to a triangle mesh, evaluating only where the surface can be.

The grid is IDR's in spirit (Yariv et al. 2020, supplementary): a first, coarse extraction finds where the object is,
and its tight box gets ``resolution`` cells on the shortest axis and the same spacing on the others.  Unlike IDR's, the
box is axis-aligned and the empty space is not evaluated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import trimesh

from nsr.errors import NsrError
from nsr.meshing.cleanup import largest_component, significant_components, without_hollows
from nsr.meshing.sparse_grid import SparseGrid, march

Value = Callable[[torch.Tensor], torch.Tensor]

LOCATING_RESOLUTION = 128
BOX_MARGIN = 1.5  # cells of the locating grid around the object: its position there is known to one cell
MOST_CELLS = 4096  # along one axis: beyond, a mesh has hundreds of millions of faces
EDGE_OVER_SPACING = 0.955  # mean edge of marching cubes' triangles, in cells, averaged over orientations
LONGEST_OVER_SHORTEST = 2  # a plate's longest axis gets at most this many times ``resolution`` cells


def extract_mesh(
    value: Value,
    resolution: int = 512,
    radius: float = 1.0,
    *,
    edge_length: float | None = None,
    largest_only: bool = True,
    uniform_grid: bool = False,
    gradient_bound: float = 1.5,
    chunk: int = 65536,
    device: torch.device | str = "cpu",
) -> trimesh.Trimesh:
    """The zero level of a signed distance field, as a closed mesh.

    The field is cut at the sphere of ``radius`` about the origin (nothing outside it is ever seen), so the mesh is
    watertight even where the field's own surface leaves that sphere.

    Args:
        value: signed distance, negative inside: ``[N, 3]`` float32 on ``device`` -> ``[N]``; called without gradient.
        resolution: cells on the shortest axis of the object's box; the spacing is the same on all axes, and wider
            where the longest axis would get more than twice as many.
        radius: of the bounding sphere, in the units of ``value``.
        edge_length: wanted mean edge of the triangles, in the units of ``value``; given, it takes the place of
            ``resolution``.
        largest_only: keep the largest component by area; else all of them but the walls of hollows, which are seen
            from nowhere.
        uniform_grid: lay the grid over the sphere's whole bounding cube instead of the object's box.
        gradient_bound: a block is skipped where ``|value|`` at its centre exceeds this many times its half-diagonal.
            1 is enough for an exact distance; learnt fields need more.  Where a surface is found to leave the
            evaluated blocks all the same, it is followed.
        chunk: points per call of ``value``.
        device: where ``value`` wants its points.

    Returns:
        A mesh in the frame of ``value``, normals outward.

    Raises:
        NsrError: the field has no surface inside the sphere, is not finite there, ``resolution`` is below 4,
            or ``edge_length`` asks for more than 4096 cells along an axis.
    """
    if resolution < 4:
        raise NsrError(f"a mesh needs a resolution of at least 4, not {resolution}")
    if edge_length is not None and not edge_length > 0:
        raise NsrError(f"a mesh needs an edge length above zero, not {edge_length:g}")
    field = _inside_sphere(value, radius, chunk, device)
    cube = np.full(3, 2 * radius * (1 + 4 / LOCATING_RESOLUTION))
    spacing = cube[0] / LOCATING_RESOLUTION
    coarse = march(SparseGrid(field, -cube / 2, spacing, cube, gradient_bound))
    if coarse is None:
        raise NsrError(
            f"the field has no surface inside the sphere of radius {radius:g}: it has one sign everywhere; "
            "train longer, or check the masks and the scale_mat"
        )
    if uniform_grid:
        lower, extent = -cube / 2, cube
    else:
        coarse = significant_components(coarse) if largest_only else coarse
        lower, upper = coarse.bounds + BOX_MARGIN * spacing * np.array([[-1.0], [1.0]])
        extent = upper - lower
    if edge_length is None:
        spacing = max(extent.min(), extent.max() / LONGEST_OVER_SHORTEST) / resolution
    else:
        spacing = edge_length / EDGE_OVER_SPACING
    cells = extent.max() / spacing
    if cells > MOST_CELLS:
        raise NsrError(
            f"this mesh would need {cells:.0f} cells along the object, and {MOST_CELLS} are the most; take longer "
            "edges or a lower resolution"
        )
    mesh = march(SparseGrid(field, lower, spacing, extent, gradient_bound))
    if mesh is None:
        raise NsrError(
            f"the surface found on a coarse grid is gone at resolution {resolution}: the field is only noise"
        )
    return largest_component(mesh) if largest_only else without_hollows(mesh)


def _inside_sphere(value: Value, radius: float, chunk: int, device) -> Callable[[np.ndarray], np.ndarray]:
    """``value`` for numpy points, in chunks, intersected with the ball of ``radius``."""

    @torch.no_grad()
    def field(points: np.ndarray) -> np.ndarray:
        found = np.empty(len(points), dtype=np.float32)
        for start in range(0, len(points), chunk):
            x = torch.from_numpy(points[start : start + chunk]).to(device)
            distance = torch.maximum(value(x).reshape(-1), x.norm(dim=-1) - radius)
            found[start : start + chunk] = distance.float().cpu().numpy()
        if not np.isfinite(found).all():
            raise NsrError("the field has NaN or infinite values: the training diverged; lower the learning rates")
        return found

    return field
