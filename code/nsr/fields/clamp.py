"""A clamp of the SDF by a Laplace density, with its exact derivative.

The density is that of Yariv et al., "Volume Rendering of Neural Implicit Surfaces" (2021), eq. 2-3; the clamp is
``tanh(s / (2 + density(s)))``.  It bounds the field to (-1, 1) and flattens it inside the object; the result is no
distance any more, so sphere tracing takes more steps with it.
"""

from __future__ import annotations

import torch


class LaplaceClamp(torch.nn.Module):
    """``s -> tanh(s / (2 + sigma(s)))`` with ``sigma(s) = (1/b) Psi_b(-s)``; the scale b is trained.

    Args:
        beta: initial scale b of the Laplace distribution.
    """

    minimum = 1e-4

    def __init__(self, beta: float = 0.9):
        super().__init__()
        if beta <= 0:
            raise ValueError(f"clamp_beta must be positive, got {beta}")
        self.beta = torch.nn.Parameter(torch.tensor(float(beta)))

    def forward(self, sdf: torch.Tensor) -> torch.Tensor:
        """``[N]`` to ``[N]``, differentiable in the field and in b."""
        return self.with_slope(sdf)[0]

    def with_slope(self, sdf: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The clamped value and its derivative in the input, both ``[N]`` and both differentiable."""
        beta = self.beta.abs() + self.minimum
        decay = torch.exp(-sdf.abs() / beta)
        # Psi_b(-s): half the decay outside (s > 0), one less half of it inside.
        density = torch.where(sdf >= 0, 0.5 * decay, 1 - 0.5 * decay) / beta
        density_slope = -0.5 * decay / beta**2
        divisor = 2 + density
        clamped = torch.tanh(sdf / divisor)
        return clamped, (1 - clamped**2) * (divisor - sdf * density_slope) / divisor**2

    def slopes(self, sdf: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First and second derivative ``[N]`` in the input; constants."""
        with torch.enable_grad():
            inner = sdf.detach().requires_grad_()
            slope = self.with_slope(inner)[1]
            return slope.detach(), torch.autograd.grad(slope.sum(), inner)[0]
