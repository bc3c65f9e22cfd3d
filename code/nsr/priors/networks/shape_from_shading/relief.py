"""Reliefs: height fields whose detail is finer than a sparse pattern can see."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Heights = Callable[[np.ndarray, np.ndarray], np.ndarray]


def waves(
    generator: np.random.Generator, wavelength: tuple[float, float], steepness: tuple[float, float], count: int
) -> Heights:
    """A sum of sinusoids of random direction and phase, as the published training data are made of.

    Args:
        wavelength: range, metres, drawn evenly in its logarithm.
        steepness: range of amplitude over wavelength.
        count: sinusoids.

    Returns:
        Heights in metres at places (x, y) in metres.
    """
    length = np.exp(generator.uniform(*np.log(wavelength), count))
    amplitude = generator.uniform(*steepness, count) * length
    angle, phase = generator.uniform(0, 2 * np.pi, (2, count))

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        total = np.zeros(np.broadcast(x, y).shape)
        for number in range(count):
            along = x * np.cos(angle[number]) + y * np.sin(angle[number])
            total += amplitude[number] * np.sin(2 * np.pi / length[number] * along + phase[number])
        return total

    return height


def rough(generator: np.random.Generator, wavelength: tuple[float, float], steepness: tuple[float, float]) -> Heights:
    """Band-limited noise: 20 sinusoids that share the height of three."""
    return waves(generator, wavelength, tuple(np.array(steepness) * np.sqrt(3 / 20)), 20)


def ridges(generator: np.random.Generator, wavelength: tuple[float, float], steepness: tuple[float, float]) -> Heights:
    """Flat-topped ridges, straight or crossed, with steep flanks as on a shoe sole: sinusoids through tanh."""
    count = int(generator.integers(1, 3))
    upper = np.sqrt(wavelength[0] * wavelength[1]), wavelength[1]
    length = np.exp(generator.uniform(*np.log(upper), count))
    amplitude = generator.uniform(*steepness, count) * length
    angle, phase = generator.uniform(0, 2 * np.pi, (2, count))
    sharpness = generator.uniform(1, 2.5)

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        total = np.zeros(np.broadcast(x, y).shape)
        for number in range(count):
            along = x * np.cos(angle[number]) + y * np.sin(angle[number])
            total += amplitude[number] * np.tanh(sharpness * np.sin(2 * np.pi / length[number] * along + phase[number]))
        return total

    return height


def bumps(generator: np.random.Generator, wavelength: tuple[float, float], steepness: tuple[float, float]) -> Heights:
    """Round studs and dents, one in each cell of a jittered square grid: (1 - (d / r)^2)^2 within a radius r."""
    upper = np.sqrt(wavelength[0] * wavelength[1]), wavelength[1]
    cell = np.exp(generator.uniform(*np.log(upper)))
    table = 61
    jitter = generator.uniform(-0.25, 0.25, (2, table, table)) * cell
    both_signs = generator.random() < 0.5
    tall = 2 * generator.uniform(*steepness, (table, table)) * cell
    tall *= generator.choice([-1, 1], (table, table)) if both_signs else generator.choice([-1, 1])
    radius = generator.uniform(0.35, 0.7) * cell

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        column, row = np.floor(x / cell).astype(int), np.floor(y / cell).astype(int)
        total = np.zeros(np.broadcast(x, y).shape)
        for right in (-1, 0, 1):
            for down in (-1, 0, 1):
                i, j = (row + down) % table, (column + right) % table
                from_x = x - (column + right + 0.5) * cell - jitter[0, i, j]
                from_y = y - (row + down + 0.5) * cell - jitter[1, i, j]
                inside = np.maximum(1 - (from_x**2 + from_y**2) / radius**2, 0)
                total += tall[i, j] * inside**2
        return total

    return height


KINDS = {
    "waves": lambda generator, wavelength, steepness: waves(
        generator, wavelength, steepness, int(generator.integers(2, 6))
    ),
    "rough": rough,
    "ridges": ridges,
    "bumps": bumps,
}


def texture(
    generator: np.random.Generator, shape: tuple[int, int], contrast: float, patch_contrast: float
) -> np.ndarray:
    """An albedo map ``[H, W]`` float32 in [0.05, 0.95]: smooth mottling on several scales, and sharp-edged patches.

    Args:
        contrast: standard deviation of the mottling's logarithm.
        patch_contrast: largest step of the logarithm at the edge of a patch.
    """
    mottling = sum(_smooth_noise(generator, shape, cell) * cell / 64 for cell in (64, 32, 16, 8))
    mottling *= contrast / max(float(mottling.std()), 1e-6)
    patches = _smooth_noise(generator, shape, int(generator.integers(24, 64))) > generator.uniform(0.2, 1.0)
    log_albedo = np.log(generator.uniform(0.35, 0.8)) + mottling
    log_albedo += patches * generator.uniform(-patch_contrast, patch_contrast)
    return np.exp(log_albedo).clip(0.05, 0.95).astype(np.float32)


def _smooth_noise(generator: np.random.Generator, shape: tuple[int, int], cell: int) -> np.ndarray:
    """Gaussian noise of unit variance at the nodes of a grid of ``cell`` pixels, cubically interpolated."""
    rows, columns = (-(-size // cell) + 1 for size in shape)
    nodes = generator.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(nodes, (columns * cell, rows * cell), interpolation=cv2.INTER_CUBIC)[: shape[0], : shape[1]]
