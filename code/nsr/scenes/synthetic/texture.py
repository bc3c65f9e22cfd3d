"""Procedural colour: sums of seeded plane waves, band-limited, evaluated anywhere in space."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


class WaveTexture:
    """A solid (three-dimensional) albedo texture.

    A coarse pattern blends three colours; a fine one darkens and lightens them with strong contrast.  Both are sums
    of plane waves of random directions and phases, squashed, so the texture has detail on every surface however it
    is cut, and nearly none below its finest wavelength.

    Args:
        wavelength: of the finest waves, normalised units; the coarse pattern's are 10 to 20 times as long.
        contrast: 0 leaves the coarse colours alone, 1 is the strongest darkening.
        seed: of directions, phases and colours.
    """

    PALETTE = ((0.88, 0.80, 0.66), (0.76, 0.40, 0.27), (0.34, 0.48, 0.58))  # sand, terracotta, slate
    STEEPNESS = 2.4  # of the patterns' edges
    WAVES = 20  # of each pattern: enough that no direction shows

    def __init__(self, wavelength: float, contrast: float, seed: int) -> None:
        random = np.random.default_rng([seed, 2])
        self.contrast = contrast
        lengths = [random.uniform(1, 1.6, self.WAVES), random.uniform(10, 20, self.WAVES)]
        directions = random.normal(size=(2 * self.WAVES, 3))
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        frequencies = directions * (2 * math.pi / (wavelength * np.concatenate(lengths)))[:, None]
        self.frequencies = torch.from_numpy(frequencies.T.astype(np.float32))
        self.phases = torch.from_numpy(random.uniform(0, 2 * math.pi, 2 * self.WAVES).astype(np.float32))
        # Columns: fine pattern, and two coarse ones; unit variance each.
        weights = np.zeros((2 * self.WAVES, 3))
        weights[: self.WAVES, 0] = 1
        weights[self.WAVES :, 1:] = random.normal(size=(self.WAVES, 2))
        weights *= math.sqrt(2) / np.linalg.norm(weights, axis=0)
        self.weights = torch.from_numpy(weights.astype(np.float32))
        self.palette = torch.tensor(self.PALETTE) + torch.from_numpy(
            random.uniform(-0.06, 0.06, size=(3, 3)).astype(np.float32)
        )

    def albedo(self, points: Tensor) -> Tensor:
        """Albedo ``[N, 3]`` in (0, 1) at ``points [N, 3]`` of the normalised frame, on their device."""
        fine, first, second = self._patterns(points, 3).unsqueeze(-1).unbind(-2)
        base, other, third = self.palette.to(points.device)
        colour = torch.lerp(torch.lerp(base, other, first), third, 0.6 * second)
        return colour * (1 - self.contrast * (1 - fine))

    def fine(self, points: Tensor) -> Tensor:
        """The fine pattern alone: a grey factor ``[N, 1]`` in (0, 1) at ``points [N, 3]``."""
        return 1 - self.contrast * (1 - self._patterns(points, 1))

    def _patterns(self, points: Tensor, count: int) -> Tensor:
        """The first ``count`` patterns (fine, and two coarse ones), ``[N, count]`` in (0, 1)."""
        device = points.device
        waves = torch.sin(points @ self.frequencies.to(device) + self.phases.to(device))
        return torch.sigmoid(self.STEEPNESS * (waves @ self.weights[:, :count].to(device)))
