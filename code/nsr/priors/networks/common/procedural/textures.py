"""Albedo as a function of a point: plain, checked, striped, cloudy."""

from __future__ import annotations

import numpy as np

TEXTURES = ("plain", "checks", "stripes", "clouds")
DARK_SHARE = 0.12  # of the surfaces reflect so little that a sensor may lose them


def random_albedo(points: np.ndarray, random: np.random.Generator, size: float) -> np.ndarray:
    """``[N, 3]`` albedo in [0, 1] of points ``[N, 3]`` of one surface.

    Args:
        size: of the pattern, in the points' unit.
    """
    low, high = (0.01, 0.08) if random.random() < DARK_SHARE else (0.15, 0.95)
    first, second = random.uniform(low, high, (2, 3))
    kind = TEXTURES[random.integers(len(TEXTURES))]
    scaled = points / size
    if kind == "plain":
        share = np.zeros(len(points))
    elif kind == "checks":
        share = (np.floor(scaled).sum(1) % 2).astype(float)
    elif kind == "stripes":
        direction = random.standard_normal(3)
        share = (np.sin(6.3 * scaled @ (direction / np.linalg.norm(direction))) > random.uniform(-0.6, 0.6)).astype(
            float
        )
    else:
        waves, phases = random.standard_normal((6, 3)) * 4, random.uniform(0, 2 * np.pi, 6)
        share = 0.5 + 0.5 * np.tanh(np.sin(scaled @ waves.T + phases).sum(1))
    return first + share[:, None] * (second - first)
