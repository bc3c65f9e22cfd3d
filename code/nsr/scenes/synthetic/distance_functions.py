"""Signed distance functions of simple solids, and smooth ways to combine them.

All take points ``[N, 3]`` and return ``[N]`` (negative inside), on the points' device, differentiable in the points.
The solids and the polynomial smooth minimum follow Quilez, "Distance functions" and "Smooth minimum".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def _vector(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)


def _norm(vectors: Tensor) -> Tensor:
    # The tiny term keeps the gradient finite at the one point where the norm has none.
    return (vectors.square().sum(-1) + 1e-20).sqrt()


def sphere(points: Tensor, centre: Sequence[float], radius: float) -> Tensor:
    """Exact distance to a sphere."""
    return _norm(points - _vector(centre, points)) - radius


def ellipsoid(points: Tensor, centre: Sequence[float], radii: Sequence[float]) -> Tensor:
    """First-order distance to an axis-aligned ellipsoid (exact zero set and gradient direction there)."""
    offset = points - _vector(centre, points)
    inverse = 1.0 / _vector(radii, points)
    scaled = _norm(offset * inverse)
    return scaled * (scaled - 1) / (_norm(offset * inverse.square()) + 1e-9)


def capsule(points: Tensor, start: Sequence[float], end: Sequence[float], radius: float) -> Tensor:
    """Exact distance to the points within ``radius`` of a segment."""
    start_point = _vector(start, points)
    axis = _vector(end, points) - start_point
    offset = points - start_point
    along = ((offset @ axis) / axis.square().sum()).clamp(0, 1)
    return _norm(offset - along.unsqueeze(-1) * axis) - radius


def torus(points: Tensor, major: float, minor: float) -> Tensor:
    """Exact distance to a torus round the z axis."""
    radial = _norm(points[:, :2]) - major
    return _norm(torch.stack([radial, points[:, 2]], dim=-1)) - minor


def rounded_box(points: Tensor, half_size: Sequence[float], rounding: float) -> Tensor:
    """Exact distance to a box of ``half_size`` (rounding included) with rounded edges, centred at the origin."""
    beyond = points.abs() - (_vector(half_size, points) - rounding)
    return _norm(beyond.clamp(min=0)) + beyond.amax(-1).clamp(max=0) - rounding


def cylinder(points: Tensor, axis: int, radius: float) -> Tensor:
    """Exact distance to an endless cylinder round coordinate axis ``axis``."""
    others = [i for i in range(3) if i != axis]
    return _norm(points[:, others]) - radius


def smooth_union(first: Tensor, second: Tensor, width: float) -> Tensor:
    """Union whose seam is blended over ``width`` (cubic smooth minimum: continuous curvature)."""
    overlap = (width - (first - second).abs()).clamp(min=0) / width
    return torch.minimum(first, second) - overlap**3 * (width / 6)


def smooth_carve(solid: Tensor, tool: Tensor, width: float) -> Tensor:
    """``solid`` without ``tool``, the rim blended over ``width``."""
    return -smooth_union(-solid, tool, width)


def gyroid(points: Tensor, wavelength: float) -> Tensor:
    """Gyroid relief in about [-1, 1], zero on average over space; its strongest waves have ``wavelength``.

    sin x cos y + sin y cos z + sin z cos x (Schoen 1970) over its maximum of 1.5.  Its terms are waves along the
    diagonals of the coordinate planes, so that the coordinate frequency is 1 / sqrt(2) of theirs.
    """
    phase = points * (2 * math.pi / (math.sqrt(2) * wavelength))
    sine, cosine = phase.sin(), phase.cos()
    return (sine * cosine.roll(-1, dims=-1)).sum(-1) / 1.5


def ripples(points: Tensor, wavelength: float) -> Tensor:
    """Waves in [-1, 1] that run outward along the z axis, bent a little sideways."""
    bend = 0.3 * wavelength * (points[:, 0] * (2 * math.pi / (4 * wavelength))).sin()
    return ((points[:, 2] + bend) * (2 * math.pi / wavelength)).sin()
