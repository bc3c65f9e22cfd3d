"""Where rays meet solids, in closed form but for the torus and relief, which are searched.

Every function takes rays ``origin [3]`` and ``directions [N, 3]`` (of any length) in the solid's own frame and returns
distances along the directions, ``[N]`` (infinite where nothing is met), and outward normals there, ``[N, 3]``.  The
origin lies outside the solid.
"""

from __future__ import annotations

import numpy as np

Hits = tuple[np.ndarray, np.ndarray]

_TORUS_STEPS, _NEWTON_STEPS = 40, 8
_BISECTIONS = 24


def meet_sphere(origin: np.ndarray, directions: np.ndarray, radius: float) -> Hits:
    """A sphere about the frame's origin."""
    distance = _first_root(
        (directions**2).sum(1), 2 * directions @ origin, np.full(len(directions), origin @ origin - radius**2)
    )
    return distance, _at(origin, directions, distance) / radius


def meet_box(origin: np.ndarray, directions: np.ndarray, half: np.ndarray) -> Hits:
    """A box about the frame's origin with half edge lengths ``[3]``, by slabs."""
    safe = np.where(np.abs(directions) < 1e-12, 1e-12, directions)
    near, far = np.sort(np.stack([(-half - origin) / safe, (half - origin) / safe]), axis=0)
    axis = near.argmax(1)
    enter, leave = near.max(1), far.min(1)
    met = (enter <= leave) & (enter > 0)
    normal = np.zeros_like(directions)
    rows = np.arange(len(directions))
    normal[rows, axis] = -np.sign(safe[rows, axis])
    return np.where(met, enter, np.inf), normal


def meet_cylinder(origin: np.ndarray, directions: np.ndarray, radius: float, half_height: float) -> Hits:
    """A closed cylinder about the frame's y axis."""
    across, start = directions[:, ::2], origin[::2]
    side = _first_root((across**2).sum(1), 2 * across @ start, np.full(len(directions), start @ start - radius**2))
    on_side = _at(origin, directions, side)
    side = np.where(np.abs(on_side[:, 1]) <= half_height, side, np.inf)
    down = np.where(np.abs(directions[:, 1]) < 1e-12, 1e-12, directions[:, 1])
    cap_height = np.where(origin[1] > 0, half_height, -half_height)
    cap = (cap_height - origin[1]) / down
    on_cap = _at(origin, directions, cap)
    cap = np.where((cap > 0) & ((on_cap[:, ::2] ** 2).sum(1) <= radius**2), cap, np.inf)
    from_side = on_side * [1, 0, 1] / radius
    from_cap = np.broadcast_to([0, np.sign(cap_height), 0], directions.shape)
    return np.minimum(side, cap), np.where((side < cap)[:, None], from_side, from_cap)


def meet_torus(origin: np.ndarray, directions: np.ndarray, radius: float, tube: float) -> Hits:
    """A torus about the frame's y axis, by sphere tracing."""
    length = np.linalg.norm(directions, axis=1)
    unit = directions / length[:, None]
    bounding, _ = meet_sphere(origin, unit, radius + tube)
    distance = np.full(len(unit), np.inf)
    rows = np.flatnonzero(np.isfinite(bounding))
    along, of_rows = bounding[rows], unit[rows]
    for step in range(_TORUS_STEPS + _NEWTON_STEPS):
        point = origin + along[:, None] * of_rows
        ring = np.hypot(point[:, 0], point[:, 2]).clip(min=1e-9)
        to_tube = np.hypot(ring - radius, point[:, 1])
        value = to_tube - tube
        if step < _TORUS_STEPS:
            along = along + value
        else:  # rays that graze come closer too slowly by their distance alone
            outward = np.stack([point[:, 0] * (1 - radius / ring), point[:, 1], point[:, 2] * (1 - radius / ring)], 1)
            closing = -(outward * of_rows).sum(1) / to_tube.clip(min=1e-9)
            along = along + value / closing.clip(min=0.05)
    distance[rows[np.abs(value) < 1e-5]] = along[np.abs(value) < 1e-5]
    point = _at(origin, unit, distance)
    ring = np.hypot(point[:, 0], point[:, 2]).clip(min=1e-9)[:, None]
    centre = point * [1, 0, 1] / ring * radius
    outward = point - centre
    return distance / length, outward / np.linalg.norm(outward, axis=1, keepdims=True).clip(min=1e-12)


def meet_relief(origin: np.ndarray, directions: np.ndarray, height: float, waves: np.ndarray) -> Hits:
    """The surface y = height - sum of waves, seen from smaller y, by bisection between the planes that bound it.

    Args:
        waves: ``[K, 4]`` amplitude, wave numbers along x and z (radians per unit), phase; may be empty.
    """
    margin = np.abs(waves[:, 0]).sum()
    down = directions[:, 1]
    met = down > 1e-4
    safe = np.where(met, down, 1.0)
    low, high = ((height + side * margin - origin[1]) / safe for side in (-1, 1))
    for _ in range(_BISECTIONS if margin else 0):
        middle = (low + high) / 2
        point = origin + middle[:, None] * directions
        above = point[:, 1] < height - _relief(point, waves)
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    distance = np.where(met & (high > 0), high, np.inf)
    point = _at(origin, directions, distance)
    slope = np.zeros((len(directions), 2))
    for amplitude, along_x, along_z, phase in waves:
        cosine = amplitude * np.cos(point[:, 0] * along_x + point[:, 2] * along_z + phase)
        slope += cosine[:, None] * [along_x, along_z]
    normal = np.stack([-slope[:, 0], -np.ones(len(slope)), -slope[:, 1]], axis=1)
    return distance, normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _relief(points: np.ndarray, waves: np.ndarray) -> np.ndarray:
    return sum(
        (amplitude * np.sin(points[:, 0] * x + points[:, 2] * z + phase) for amplitude, x, z, phase in waves),
        np.zeros(len(points)),
    )


def _first_root(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The smaller root of a t^2 + b t + c where it is real and above 0, else infinite."""
    discriminant = b**2 - 4 * a * c
    root = (-b - np.sqrt(discriminant.clip(min=0))) / np.maximum(2 * a, 1e-12)
    return np.where((discriminant > 0) & (root > 0), root, np.inf)


def _at(origin: np.ndarray, directions: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Points along rays; the origin where nothing was met."""
    return origin + np.where(np.isfinite(distance), distance, 0.0)[:, None] * directions
