"""Positional encoding of NeRF and IDR."""

from __future__ import annotations

import torch

from nsr.fields.encoding import Encoding, opening_weights, register_encoding


@register_encoding("PosEnc")
class PositionalEncoding(Encoding):
    """``(x, sin(2^k x), cos(2^k x))`` for k = 0 .. frequencies - 1 (Mildenhall et al. 2020, eq. 4, without pi, as IDR).

    Args:
        input_dim: D.
        frequencies: number of octaves; the output has ``D * (1 + 2 * frequencies)`` channels.
    """

    def __init__(self, input_dim: int = 3, frequencies: int = 6):
        super().__init__()
        if frequencies < 0:
            raise ValueError(f"frequencies must be at least 0, got {frequencies}")
        self.input_dim, self.frequencies = input_dim, frequencies
        self.levels = max(frequencies, 1)
        self.channels = input_dim * (1 + 2 * frequencies)
        self.register_buffer("octaves", 2.0 ** torch.arange(frequencies), persistent=False)
        self.register_buffer("weights", torch.ones(frequencies), persistent=False)

    def set_progress(self, progress: float) -> None:
        if self.frequencies:
            self.weights.copy_(opening_weights(progress, self.frequencies))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        phase = x.unsqueeze(1) * self.octaves.view(1, -1, 1)  # [N, K, D]
        waves = torch.stack([phase.sin(), phase.cos()], dim=2) * self.weights.view(1, -1, 1, 1)
        return torch.cat([x, waves.flatten(1)], dim=1)

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        phase = x.unsqueeze(1) * self.octaves.view(1, -1, 1)
        sine, cosine = phase.sin(), phase.cos()
        weights = self.weights.view(1, -1, 1, 1)
        waves = torch.stack([sine, cosine], dim=2) * weights  # [N, K, 2, D]
        slopes = torch.stack([cosine, -sine], dim=2) * (weights * self.octaves.view(1, -1, 1, 1))
        jacobian = torch.diag_embed(slopes).flatten(1, 3)  # [N, K * 2 * D, D]
        identity = torch.eye(self.input_dim, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)
        return torch.cat([x, waves.flatten(1)], dim=1), torch.cat([identity, jacobian], dim=1)
