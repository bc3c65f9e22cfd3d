"""The zero set of an analytic shape as a triangle mesh, its vertices exactly on the surface."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nsr.scenes.synthetic.shapes import BOUNDING_RADIUS, Shape

_BLOCK = 4  # fine cells along the side of a coarse one
_CHUNK = 1 << 16  # points at once: small enough for a processor's cache


def extract_mesh(shape: Shape, resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes near the surface only, then Newton's method on the vertices.

    Args:
        shape: what to mesh.
        resolution: cells along the bounding cube's side (a multiple of 4).

    Returns:
        vertices ``[N, 3]`` float32 (normalised frame, within 1e-6 of the zero set) and faces ``[F, 3]`` int32, outward.
    """
    from skimage.measure import marching_cubes

    blocks = resolution // _BLOCK
    spacing = 2 * BOUNDING_RADIUS / resolution
    values, near = _narrow_band(shape, blocks, spacing)
    vertices, faces, _, _ = marching_cubes(values, level=0.0, mask=near, gradient_direction="descent")
    points = torch.from_numpy(vertices.astype(np.float32)) * spacing - BOUNDING_RADIUS
    return project_to_surface(shape, points, spacing).numpy(), faces.astype(np.int32)


def project_to_surface(shape: Shape, points: Tensor, limit: float, steps: int = 3) -> Tensor:
    """Points ``[N, 3]`` moved along the gradient onto the zero set by Newton's method, ``limit`` a step at most."""
    projected = []
    for chunk in points.split(_CHUNK):
        for _ in range(steps):
            value, gradient = shape.field_and_gradient(chunk)
            move = -value / gradient.square().sum(-1).clamp(min=1e-6)
            move = move.unsqueeze(-1) * gradient
            length = move.norm(dim=-1, keepdim=True).clamp(min=1e-12)
            chunk = chunk + move * (limit / length).clamp(max=1)
        projected.append(chunk)
    return torch.cat(projected)


def _narrow_band(shape: Shape, blocks: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Field samples ``[R+1, R+1, R+1]``, exact near the surface and of the right sign elsewhere; and where they are."""
    coarse = _BLOCK * spacing
    axis = (torch.arange(blocks) + 0.5) * coarse - BOUNDING_RADIUS
    centres = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    centre_values = _evaluate(shape, centres)
    # No zero within the block where the field at its centre is larger than it can fall to the corner.
    active = centre_values.abs() <= shape.slope_limit * coarse * (3**0.5) / 2

    resolution = blocks * _BLOCK
    values = np.empty((resolution + 1,) * 3, dtype=np.float32)
    signs = np.sign(centre_values.numpy()).reshape((blocks,) * 3)
    values[:] = 1.0
    view = values[:-1, :-1, :-1].reshape(blocks, _BLOCK, blocks, _BLOCK, blocks, _BLOCK)
    view[:] = signs[:, None, :, None, :, None]
    near = np.zeros_like(values, dtype=bool)

    offsets = torch.arange(_BLOCK + 1)
    offsets = torch.stack(torch.meshgrid(offsets, offsets, offsets, indexing="ij"), dim=-1).reshape(-1, 3)
    corners = torch.nonzero(active.reshape((blocks,) * 3)) * _BLOCK
    for chunk in corners.split(_CHUNK // len(offsets)):
        cells = (chunk.unsqueeze(1) + offsets).reshape(-1, 3)
        x, y, z = cells.numpy().T
        values[x, y, z] = shape.field(cells * spacing - BOUNDING_RADIUS).numpy()
        near[x, y, z] = True
    return values, near


def _evaluate(shape: Shape, points: Tensor) -> Tensor:
    return torch.cat([shape.field(chunk) for chunk in points.split(_CHUNK)])
