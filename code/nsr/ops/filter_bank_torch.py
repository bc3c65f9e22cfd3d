"""The neural Fourier filter bank in PyTorch: what runs where nothing is compiled, and the oracle of the tests."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nsr.ops.dual import Dual

READOUTS = ("concat", "heads", "levels")
ACTIVATIONS = ("sine", "relu")


@dataclass
class FilterBankParameters:
    """What a filter bank is made of, for L levels of F features, layers of width W and O outputs.

    Attributes:
        bands: ``[L, F, W]``; phase: ``[L, W]``, a constant.
        first_weight: ``[W, 3]``; weights: ``[L, W, W]``; biases: ``[L + 1, W]``, of the first layer first.
        head_weight, head_bias: ``[O, L * W]`` and ``[O]`` for readout ``concat``, ``[L, O, W]`` and ``[L, O]`` for
            ``heads``, None for ``levels``.
        shares: ``[L]``, constants: the weight with which a level is read out.
        readout: one of ``READOUTS``; activation: of the layers, one of ``ACTIVATIONS``.
        w0, w1: frequencies of the layers and of the heads.
        bound: positions are divided by it before the first layer.
    """

    bands: torch.Tensor
    phase: torch.Tensor
    first_weight: torch.Tensor
    weights: torch.Tensor
    biases: torch.Tensor
    head_weight: torch.Tensor | None
    head_bias: torch.Tensor | None
    shares: torch.Tensor
    readout: str
    activation: str
    w0: float
    w1: float
    bound: float

    @property
    def levels(self) -> int:
        return self.bands.shape[0]

    @property
    def outputs(self) -> int:
        """O."""
        if self.readout == "levels":
            return self.levels * self.bands.shape[2]
        return self.head_bias.shape[-1]

    def trained(self) -> tuple[torch.Tensor | None, ...]:
        """What gradients are for; ``replaced`` takes it back in this order."""
        return (self.bands, self.first_weight, self.weights, self.biases, self.head_weight, self.head_bias)

    def replaced(self, *trained: torch.Tensor | None) -> FilterBankParameters:
        """The same bank with other tensors in place of ``trained()``."""
        bands, first_weight, weights, biases, head_weight, head_bias = trained
        return FilterBankParameters(
            bands, self.phase, first_weight, weights, biases, head_weight, head_bias, self.shares, self.readout,
            self.activation, self.w0, self.w1, self.bound,
        )


def filter_bank_reference(
    positions: torch.Tensor,
    grid: torch.Tensor,
    grid_jacobian: torch.Tensor | None,
    bank: FilterBankParameters,
    embed: Callable[[Dual, Dual], Dual] | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """As ``nsr.ops.filter_bank.filter_bank``, as a graph of plain operations.

    Args:
        embed: from the grid's features (value ``[L, N, F]``, tangent ``[3, L, N, F]``) and the first layer's output
            (value ``[N, W]``) to the bands ``e_i`` (value ``[L, N, W]``), where they are others than the published.
    """
    count, jacobian = positions.shape[0], grid_jacobian is not None
    axes = torch.eye(3, dtype=positions.dtype, device=positions.device).unsqueeze(1).expand(-1, count, -1)
    coordinate = Dual(positions, axes if jacobian else None).scaled(1 / bank.bound)
    hidden = _activate(coordinate.linear(bank.first_weight, bank.biases[0]), bank)
    features = _by_level(grid, grid_jacobian, bank)
    bands = _bands(features, bank) if embed is None else embed(features, hidden)
    levels = []
    for level in range(bank.levels):
        band = Dual(bands.value[level], bands.tangent[:, level] if jacobian else None)
        hidden = _activate(hidden.linear(bank.weights[level], bank.biases[level + 1]), bank) + band
        levels.append(hidden)
    output = _read_out(levels, bank)
    return output.value, output.tangent.permute(1, 2, 0) if jacobian else None


def _by_level(grid: torch.Tensor, grid_jacobian: torch.Tensor | None, bank: FilterBankParameters) -> Dual:
    shape = (grid.shape[0], *bank.bands.shape[:2])
    tangent = grid_jacobian.view(*shape, 3).permute(3, 1, 0, 2) if grid_jacobian is not None else None
    return Dual(grid.view(shape).permute(1, 0, 2), tangent)


def _bands(features: Dual, bank: FilterBankParameters) -> Dual:
    return features.matmul(bank.bands).scaled(2 * math.pi).plus(bank.phase.unsqueeze(1)).sine()


def _activate(preactivation: Dual, bank: FilterBankParameters) -> Dual:
    if bank.activation == "relu":
        return preactivation.relu()
    return preactivation.scaled(bank.w0).sine()


def _read_out(levels: list[Dual], bank: FilterBankParameters) -> Dual:
    if bank.readout == "heads":
        heads = [
            hidden.linear(weight, bias).scaled(bank.w1).sine().scaled(share)
            for hidden, weight, bias, share in zip(levels, bank.head_weight, bank.head_bias, bank.shares, strict=True)
        ]
        total = heads[0]
        for head in heads[1:]:
            total = total + head
        return total
    weighted = [hidden.scaled(share) for hidden, share in zip(levels, bank.shares, strict=True)]
    joined = weighted[0].cat(*weighted[1:])
    if bank.readout == "concat":
        joined = joined.linear(bank.head_weight, bank.head_bias)
    return joined.scaled(1 / len(levels))
