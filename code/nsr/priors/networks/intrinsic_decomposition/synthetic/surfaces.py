"""Random surfaces seen along z, with exact normals: ellipsoids, superellipsoids and reliefs, with waves on them.

The picture spans [-1, 1] in x (right) and y (down) and the view is orthographic.  A surface is a height towards the
viewer, -z in the camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("ellipsoids", "superellipsoid", "relief")
_STEEPEST = 20.0  # slopes at outlines are cut here: normals 3 degrees from the picture's plane


@dataclass(frozen=True)
class Surface:
    """``height`` ``[H, W]`` (-inf off the surface), ``slope`` ``[2, H, W]`` (by x and y), ``mask`` ``[H, W]`` bool."""

    height: np.ndarray
    slope: np.ndarray
    mask: np.ndarray

    @property
    def normal(self) -> np.ndarray:
        """``[3, H, W]`` unit, camera frame, towards the viewer (z below zero); zero off the surface."""
        normal = np.concatenate((-self.slope, -np.ones_like(self.height)[None]))
        return np.where(self.mask, normal / np.linalg.norm(normal, axis=0), 0.0)


def pixel_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels' centres, each ``[size, size]``."""
    line = (np.arange(size) + 0.5) / size * 2 - 1
    return np.broadcast_to(line, (size, size)), np.broadcast_to(line[:, None], (size, size))


def random_surface(random: np.random.Generator, size: int, kind: str | None = None) -> Surface:
    """A surface of ``kind`` (drawn from ``KINDS`` unless given) on ``size`` by ``size`` pixels."""
    kind = kind or str(random.choice(KINDS, p=(0.5, 0.25, 0.25)))
    x, y = pixel_grid(size)
    make = {"ellipsoids": _ellipsoids, "superellipsoid": _superellipsoid, "relief": _relief}[kind]
    height, slope = make(random, x, y)
    mask = np.isfinite(height)
    waves, wave_slope = _waves(random, x, y, steepest=random.uniform(0.0, 0.5))
    height = height + waves
    slope = np.where(mask, np.clip(slope + wave_slope, -_STEEPEST, _STEEPEST), 0.0)
    return Surface(height, slope, mask)


def _rotation(random: np.random.Generator) -> np.ndarray:
    """A rotation ``[3, 3]``, uniform (orthogonal factor of a Gaussian matrix)."""
    factor, triangle = np.linalg.qr(random.normal(size=(3, 3)))
    factor *= np.sign(np.diag(triangle))
    return factor * np.sign(np.linalg.det(factor))


def _ellipsoids(random, x, y):
    """One to five turned ellipsoids, the nearest seen: p^T M p = 1 solved for the height."""
    height = np.full(x.shape, -np.inf)
    slope = np.zeros((2, *x.shape))
    for _ in range(random.integers(1, 6)):
        turn = _rotation(random)
        form = turn @ np.diag(random.uniform(0.25, 0.8, 3) ** -2) @ turn.T
        centre = random.uniform(-0.45, 0.45, 3)
        u, v = x - centre[0], y - centre[1]
        half_linear = form[0, 2] * u + form[1, 2] * v
        constant = form[0, 0] * u * u + 2 * form[0, 1] * u * v + form[1, 1] * v * v - 1
        discriminant = half_linear**2 - form[2, 2] * constant
        root = np.sqrt(np.maximum(discriminant, 1e-9))
        h = (root - half_linear) / form[2, 2]
        nearer = (discriminant > 0) & (h + centre[2] > height)
        height = np.where(nearer, h + centre[2], height)
        along = (
            np.stack((form[0, 0] * u + form[0, 1] * v, form[0, 1] * u + form[1, 1] * v)) + form[:2, 2, None, None] * h
        )
        slope = np.where(nearer, -along / root, slope)  # root = (M p) along the height, at the nearer crossing
    return height, slope


def _superellipsoid(random, x, y):
    """|u / a|^p + |v / b|^p + |h / c|^p = 1, turned in the picture's plane and tilted by a shear of its height."""
    angle = random.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    a, b, c = random.uniform(0.4, 0.85, 3)
    power = random.uniform(1.6, 5.0)
    u, v = cosine * x + sine * y, cosine * y - sine * x
    rest = 1 - np.abs(u / a) ** power - np.abs(v / b) ** power
    safe = np.maximum(rest, 1e-6)
    height = np.where(rest > 0, c * safe ** (1 / power), -np.inf)
    outer = c * safe ** (1 / power - 1)
    by_u = -outer * np.abs(u / a) ** (power - 1) * np.sign(u) / a
    by_v = -outer * np.abs(v / b) ** (power - 1) * np.sign(v) / b
    tilt = random.uniform(-0.3, 0.3, 2)
    slope = np.stack((cosine * by_u - sine * by_v + tilt[0], sine * by_u + cosine * by_v + tilt[1]))
    return height + tilt[0] * x + tilt[1] * y, slope


def _relief(random, x, y):
    """A tilted plane with long waves that fills the picture."""
    tilt = random.uniform(-0.5, 0.5, 2)
    waves, slope = _waves(random, x, y, steepest=random.uniform(0.4, 1.2), frequencies=(0.5, 2.0))
    return tilt[0] * x + tilt[1] * y + waves, slope + tilt[:, None, None]


def _waves(random, x, y, steepest: float, frequencies: tuple[float, float] = (1.0, 5.0)):
    """One to four sine waves whose slopes together stay below ``steepest``; frequencies in periods a unit."""
    height = np.zeros(x.shape)
    slope = np.zeros((2, *x.shape))
    count = int(random.integers(1, 5))
    for _ in range(count):
        angle, phase = random.uniform(0, 2 * np.pi, 2)
        frequency = 2 * np.pi * random.uniform(*frequencies)
        wave = frequency * np.array([np.cos(angle), np.sin(angle)])
        argument = wave[0] * x + wave[1] * y + phase
        amplitude = steepest / (count * frequency)
        height += amplitude * np.sin(argument)
        slope += amplitude * np.cos(argument) * wave[:, None, None]
    return height, slope
