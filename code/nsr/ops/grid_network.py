"""A small signed distance network on a hash grid, described by plain tensors: what the compiled search evaluates.

The function is ``f(x) = a . h(x) + b``, where ``h`` are hidden layers with softplus on the position and on the
features of a multiresolution hash grid (``nsr.ops.hash_encode``), each feature times its weight.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode_native import native_layout, native_limits

WIDEST = {"cpu": 256, "cuda": 64}
# A block of 64 threads has 64 KiB on every architecture, of which 10 hold its rays; the rest is for parameters and
# activations.
_CUDA_BLOCK = 64
_CUDA_SHARED_FLOATS = 54 * 256


@dataclass(frozen=True)
class GridNetwork:
    """A grid, and the layers after it.

    Attributes:
        layout: of the grid; table: ``[layout.entries, F]``.
        level_weights: ``[L * F]``, what the features are multiplied by.
        bound: the grid covers ``[-bound, bound]^3``.
        weights: of each layer ``[outputs, inputs]``: of the first ``3 + L * F`` inputs, x and then the features;
            of the last one output.
        biases: of each layer ``[outputs]``.
        beta: of ``softplus(x) = log(1 + exp(beta x)) / beta`` after each layer but the last.
    """

    layout: GridLayout
    table: torch.Tensor
    level_weights: torch.Tensor
    bound: float
    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]
    beta: float

    @property
    def width(self) -> int:
        """Of the hidden layers as they are compiled: all as wide as the widest, in a whole number of registers."""
        widest = max(len(bias) for bias in self.biases[:-1])
        if self.table.is_cuda:
            return 32 if widest <= 32 else -(-widest // 64) * 64
        return -(-widest // 4) * 4

    def native_limits(self, positions: torch.Tensor) -> str | None:
        """Why the compiled bodies do not serve this network at these positions, or None where they do."""
        device = "cuda" if positions.is_cuda else "cpu"
        if positions.dtype != torch.float32 or self.biases[0].dtype != torch.float32:
            return f"{positions.dtype} positions and {self.biases[0].dtype} layers are not compiled (float32 is)"
        if self.table.dtype not in (torch.float32, torch.float16):
            return f"{self.table.dtype} tables are not compiled (float32 and float16 are)"
        if self.width > WIDEST[device]:
            return f"hidden layers of {self.width} are not compiled ({WIDEST[device]} at most on {device})"
        if device == "cuda":
            width, inputs = self.width, 4 + len(self.level_weights)
            parameters = (inputs + (len(self.weights) - 2) * (width + 1) + 2) * width
            if parameters + _CUDA_BLOCK * width > _CUDA_SHARED_FLOATS:
                return f"{parameters} parameters do not fit into the shared memory of a multiprocessor"
        return native_limits(positions, self.layout)

    def native_arguments(self) -> tuple[torch.Tensor, ...]:
        """Table, levels, scales, level weights, parameters and form, as the operators take them."""
        form = _form(
            self.layout.interpolation == "smoothstep", len(self.weights) - 1, self.width, self.bound, self.beta
        )
        return (
            self.table.detach().contiguous(), *native_layout(self.layout), self.level_weights.detach().contiguous(),
            self._parameters(), form,
        )

    def _parameters(self) -> torch.Tensor:
        """All layers in one vector: weights ``[inputs, width]`` and biases ``[width]``, missing neurons being 0."""
        width, parts, inputs = self.width, [], 3 + len(self.level_weights)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            missing = (0, width - weight.shape[0])
            padded = torch.nn.functional.pad(weight.detach().T, (*missing, 0, inputs - weight.shape[1]))
            parts += [padded.reshape(-1), torch.nn.functional.pad(bias.detach(), missing)]
            inputs = width
        last = self.weights[-1].detach().reshape(-1)
        parts += [torch.nn.functional.pad(last, (0, width - len(last))), self.biases[-1].detach()]
        return torch.cat(parts)


@functools.lru_cache(maxsize=64)
def _form(*numbers: float) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)
