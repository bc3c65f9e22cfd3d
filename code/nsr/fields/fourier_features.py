"""Random Fourier features."""

from __future__ import annotations

import math

import torch

from nsr.fields.encoding import Encoding, opening_weights, register_encoding


@register_encoding("FourierFeatures")
class FourierFeatures(Encoding):
    """``(x, sin(2 pi b x), cos(2 pi b x), ...)`` for the rows b of a fixed Gaussian matrix B.

    Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains" (2020).

    The rows of B are sorted by their length, from low frequencies to high, which is the order in which
    ``set_progress`` opens them.  B is no parameter, but it is part of the state that a checkpoint keeps.

    Args:
        input_dim: D.
        count: number of frequencies; the output has ``D + 2 * count`` channels.
        sigma: standard deviation of the entries of B, in periods per unit of x.
    """

    def __init__(self, input_dim: int = 3, count: int = 64, sigma: float = 1.0):
        super().__init__()
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.input_dim, self.count = input_dim, count
        self.levels = count
        self.channels = input_dim + 2 * count
        matrix = torch.randn(count, input_dim) * sigma
        self.register_buffer("matrix", matrix[matrix.norm(dim=1).argsort()])
        self.register_buffer("weights", torch.ones(count), persistent=False)

    def set_progress(self, progress: float) -> None:
        self.weights.copy_(opening_weights(progress, self.count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        phase = 2 * math.pi * x @ self.matrix.t()
        waves = torch.stack([phase.sin(), phase.cos()], dim=-1) * self.weights.unsqueeze(-1)  # [N, count, 2]
        return torch.cat([x, waves.flatten(1)], dim=1)

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        phase = 2 * math.pi * x @ self.matrix.t()
        sine, cosine = phase.sin() * self.weights, phase.cos() * self.weights
        waves, slopes = torch.stack([sine, cosine], dim=-1), torch.stack([cosine, -sine], dim=-1)
        jacobian = slopes.unsqueeze(-1) * (2 * math.pi * self.matrix).unsqueeze(1)  # [N, count, 2, D]
        identity = torch.eye(self.input_dim, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)
        return torch.cat([x, waves.flatten(1)], dim=1), torch.cat([identity, jacobian.flatten(1, 2)], dim=1)
