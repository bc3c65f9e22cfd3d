"""A linear layer with optional weight normalisation, whose effective weight can be had by name."""

from __future__ import annotations

import torch


class WeightNormLinear(torch.nn.Module):
    """``y = x W^T + b`` with ``W = g v / |v|`` row by row (Salimans and Kingma 2016).

    Parameter names (``weight_g``, ``weight_v``, ``bias``) and shapes are those of ``torch.nn.utils.weight_norm``, in
    which IDR's published checkpoints are stored.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.weight_g = torch.nn.Parameter(weight.norm(dim=1, keepdim=True))
        self.weight_v = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)

    @property
    def weight(self) -> torch.Tensor:
        """``[out, in]`` effective weight, differentiable."""
        return self.weight_v * (self.weight_g / self.weight_v.norm(dim=1, keepdim=True))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.weight, self.bias)


class PlainLinear(torch.nn.Module):
    """The same without normalisation."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.bias = torch.nn.Parameter(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x, self.weight, self.bias)


def make_linear(weight: torch.Tensor, bias: torch.Tensor, weight_norm: bool) -> torch.nn.Module:
    """A layer that starts at the given ``[out, in]`` weight and ``[out]`` bias."""
    return WeightNormLinear(weight, bias) if weight_norm else PlainLinear(weight, bias)


def default_linear(inputs: int, outputs: int, weight_norm: bool) -> torch.nn.Module:
    """A layer initialised as ``torch.nn.Linear`` is."""
    layer = torch.nn.Linear(inputs, outputs)
    return make_linear(layer.weight.detach(), layer.bias.detach(), weight_norm)
