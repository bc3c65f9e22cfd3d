"""A softplus network with the gradient of its first output in closed form, and how both change along a direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import linear, softplus


@dataclass(frozen=True)
class SoftplusNetwork:
    """Effective weights of a network ``C -> ... -> 1 + F`` with softplus between its layers.

    Every method is made of ordinary operations, so that autograd differentiates what it returns.

    Attributes:
        weights: ``[out, in]`` of each layer; biases: ``[out]``.
        skip_in: layers whose input is ``cat(hidden, encoded) / sqrt(2)``.
        beta: sharpness of the softplus.
    """

    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    skip_in: tuple[int, ...]
    beta: float

    def _input(self, layer: int, hidden: torch.Tensor, encoded: torch.Tensor) -> torch.Tensor:
        return torch.cat([hidden, encoded], dim=1) / math.sqrt(2) if layer in self.skip_in else hidden

    def trunk(self, encoded: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """From ``encoded [N, C]``, the input of the last layer, and what goes into each softplus."""
        hidden, activations = encoded, []
        for layer, (weight, bias) in enumerate(zip(self.weights[:-1], self.biases)):
            activations.append(linear(self._input(layer, hidden, encoded), weight, bias))
            hidden = softplus(activations[-1], beta=self.beta)
        return self._input(len(self.weights) - 1, hidden, encoded), activations

    def head(self, hidden: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """Some outputs of the last layer."""
        return linear(hidden, self.weights[-1][rows], self.biases[-1][rows])

    def adjoint(self, activations: list[torch.Tensor]) -> torch.Tensor:
        """Gradient ``[N, C]`` of the first output in the encoded input, by a reverse pass."""
        adjoint, skipped = self.weights[-1][:1].expand(activations[0].shape[0], -1), []
        for layer in range(len(self.weights) - 1, -1, -1):
            if layer < len(self.weights) - 1:
                adjoint = (adjoint * torch.sigmoid(self.beta * activations[layer])) @ self.weights[layer]
            if layer in self.skip_in:
                adjoint, direct = self._split(adjoint)
                skipped.append(direct)
        return sum(skipped, adjoint)

    def _split(self, adjoint: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Adjoint of a skip's input: that of the hidden units, and that of the encoded input."""
        hidden = adjoint.shape[1] - self.weights[0].shape[1]
        return (adjoint / math.sqrt(2)).split([hidden, self.weights[0].shape[1]], dim=1)

    def along(
        self, activations: list[torch.Tensor], motion: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Where the encoded input moves at a velocity ``motion [N, C]``: adjoint, its velocity, and the outputs'.

        Returns:
            ``adjoint`` ``[N, C]``, its derivative ``[N, C]``, and the derivative ``[N, 1 + F]`` of all outputs.
        """
        slopes, velocities, hidden = [], [], motion
        for layer, weight in enumerate(self.weights[:-1]):
            velocities.append(linear(self._input(layer, hidden, motion), weight))
            slopes.append(torch.sigmoid(self.beta * activations[layer]))
            hidden = velocities[-1] * slopes[-1]
        outputs = linear(self._input(len(self.weights) - 1, hidden, motion), self.weights[-1])

        adjoint = self.weights[-1][:1].expand(len(motion), -1)
        change = torch.zeros_like(adjoint)
        skipped, skipped_change = [], []
        for layer in range(len(self.weights) - 1, -1, -1):
            if layer < len(self.weights) - 1:
                slope = slopes[layer]
                bend = self.beta * slope * (1 - slope) * velocities[layer]
                change = (change * slope + adjoint * bend) @ self.weights[layer]
                adjoint = (adjoint * slope) @ self.weights[layer]
            if layer in self.skip_in:
                adjoint, direct = self._split(adjoint)
                change, direct_change = self._split(change)
                skipped.append(direct)
                skipped_change.append(direct_change)
        return sum(skipped, adjoint), sum(skipped_change, change), outputs
