"""Random solid textures: an albedo for every point of a surface."""

from __future__ import annotations

import numpy as np

from nsr.priors.networks.intrinsic_decomposition.synthetic.surfaces import Surface, pixel_grid

KINDS = ("plain", "patches", "stripes", "blend")
ALBEDO_RANGE = (0.08, 0.95)


def random_albedo(random: np.random.Generator, surface: Surface, kind: str | None = None) -> np.ndarray:
    """Albedo ``[3, H, W]`` in ``ALBEDO_RANGE`` of ``kind`` (drawn unless given), with slight mottling; zero off it."""
    kind = kind or str(random.choice(KINDS, p=(0.2, 0.35, 0.25, 0.2)))
    size = len(surface.mask)
    points = np.stack((*pixel_grid(size), np.where(surface.mask, surface.height, 0.0)))
    if kind == "plain":
        albedo = np.broadcast_to(_colour(random)[:, None, None], points.shape)
    elif kind == "patches":
        albedo = _patches(random, points)
    else:
        phase = _wave(random, points, random.uniform(0.5, 3.0))
        share = (phase > random.uniform(-0.5, 0.5)).astype(float) if kind == "stripes" else 0.5 + 0.5 * phase
        first, second = _colour(random), _colour(random)
        albedo = first[:, None, None] * share + second[:, None, None] * (1 - share)
    mottling = 1 + random.uniform(0, 0.12) * _wave(random, points, random.uniform(3, 8)) * _wave(random, points, 4)
    return np.where(surface.mask, np.clip(albedo * mottling, *ALBEDO_RANGE), 0.0)


def _colour(random: np.random.Generator) -> np.ndarray:
    """A colour ``[3]`` of moderate saturation."""
    grey = random.uniform(0.2, 0.85)
    return np.clip(grey * np.exp(random.normal(0, 0.25, 3)), *ALBEDO_RANGE)


def _wave(random: np.random.Generator, points: np.ndarray, frequency: float) -> np.ndarray:
    """A sine wave in a random direction of space, ``[H, W]`` in [-1, 1]; ``frequency`` in periods a unit."""
    direction = random.normal(size=3)
    direction *= 2 * np.pi * frequency / np.linalg.norm(direction)
    return np.sin(np.einsum("i,ihw->hw", direction, points) + random.uniform(0, 2 * np.pi))


def _patches(random: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Cells about random seeds in space, each of one of a few colours."""
    seeds = random.uniform(-1, 1, (int(random.integers(4, 24)), 3))
    palette = np.stack([_colour(random) for _ in range(int(random.integers(2, 6)))])
    colours = palette[random.integers(0, len(palette), len(seeds))]
    distance = ((points.reshape(3, -1).T[:, None] - seeds) ** 2).sum(-1)
    return colours[distance.argmin(1)].T.reshape(points.shape)
