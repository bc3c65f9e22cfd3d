"""Forward-mode derivatives: a value and its three tangents, carried together through a network.

A network of width W with few inputs has a Jacobian of few columns; carrying these along costs three more products
of matrices per layer, all of them plain differentiable operations, so that ordinary autograd gives the gradient of
values and Jacobians alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Dual:
    """A value and its derivatives in the coordinates of the input.

    Attributes:
        value: ``[..., C]``.
        tangent: ``[3, ..., C]``, or None where no derivative is wanted; every operation then leaves it out.
    """

    value: torch.Tensor
    tangent: torch.Tensor | None

    def __add__(self, other: Dual) -> Dual:
        both = self.tangent is not None
        return Dual(self.value + other.value, self.tangent + other.tangent if both else None)

    def __mul__(self, other: Dual) -> Dual:
        both = self.tangent is not None
        tangent = self.tangent * other.value + self.value * other.tangent if both else None
        return Dual(self.value * other.value, tangent)

    def scaled(self, factor: torch.Tensor | float) -> Dual:
        """Times a constant of the input (which may hold parameters)."""
        return Dual(self.value * factor, self.tangent * factor if self.tangent is not None else None)

    def plus(self, constant: torch.Tensor | float) -> Dual:
        """Plus a constant of the input."""
        return Dual(self.value + constant, self.tangent)

    def matmul(self, matrix: torch.Tensor) -> Dual:
        """Times a constant matrix (or a batch of them) from the right."""
        return Dual(self.value @ matrix, self.tangent @ matrix if self.tangent is not None else None)

    def linear(self, weight: torch.Tensor, bias: torch.Tensor) -> Dual:
        """Through a linear layer: weight ``[out, C]``, bias ``[out]``."""
        value = torch.nn.functional.linear(self.value, weight, bias)
        return Dual(value, self.tangent @ weight.t() if self.tangent is not None else None)

    def sine(self) -> Dual:
        value = self.value.sin()
        return Dual(value, self.value.cos() * self.tangent if self.tangent is not None else None)

    def relu(self) -> Dual:
        """Its second derivative is taken to be 0 everywhere, the kink included."""
        value = self.value.relu()
        return Dual(value, (self.value > 0).to(value.dtype) * self.tangent if self.tangent is not None else None)

    def tanh(self) -> Dual:
        value = self.value.tanh()
        return Dual(value, (1 - value * value) * self.tangent if self.tangent is not None else None)

    def exp(self) -> Dual:
        value = self.value.exp()
        return Dual(value, value * self.tangent if self.tangent is not None else None)

    def power(self, exponent: float) -> Dual:
        """Of positive values."""
        value = self.value.pow(exponent)
        slope = exponent * self.value.pow(exponent - 1)
        return Dual(value, slope * self.tangent if self.tangent is not None else None)

    def sum(self, dim: int, keepdim: bool = False) -> Dual:
        """Over one of the value's dimensions; ``dim`` must be negative."""
        tangent = self.tangent.sum(dim, keepdim) if self.tangent is not None else None
        return Dual(self.value.sum(dim, keepdim), tangent)

    def softmax(self, dim: int) -> Dual:
        """Over one of the value's dimensions; ``dim`` must be negative."""
        value = self.value.softmax(dim)
        if self.tangent is None:
            return Dual(value, None)
        weighted = value * self.tangent
        return Dual(value, weighted - value * weighted.sum(dim, keepdim=True))

    def cat(self, *others: Dual) -> Dual:
        """Joined along the channels."""
        parts = (self, *others)
        value = torch.cat([part.value for part in parts], dim=-1)
        if self.tangent is None:
            return Dual(value, None)
        return Dual(value, torch.cat([part.tangent for part in parts], dim=-1))
