"""Analytic fields and rays that several tests of this room trace."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch


@dataclass
class Shape:
    """An exact signed distance field."""

    name: str

    def value(self, x: torch.Tensor) -> torch.Tensor:
        if self.name == "sphere":
            return x.norm(dim=-1) - 0.6
        if self.name == "torus":
            ring = torch.stack([x[..., :2].norm(dim=-1) - 0.5, x[..., 2]], dim=-1)
            return ring.norm(dim=-1) - 0.2
        if self.name == "box":
            beyond = x.abs() - torch.tensor([0.5, 0.3, 0.4], dtype=x.dtype)
            return beyond.clamp_min(0).norm(dim=-1) + beyond.amax(-1).clamp_max(0)
        assert self.name == "shell"  # a sphere's skin, 0.02 thick
        return (x.norm(dim=-1) - 0.6).abs() - 0.01

    def first_crossing(self, origins, directions, near, far, samples=6000):
        """Depth ``[N]`` of the first change from outside to inside, NaN where there is none, and the smallest value.

        By dense samples and bisection.
        """
        depths = near[:, None] + (far - near)[:, None] * torch.linspace(0, 1, samples, dtype=origins.dtype)
        values = self.value(origins[:, None] + depths[..., None] * directions[:, None])
        inside = values < 0
        first = inside.to(torch.uint8).argmax(1)
        rows = torch.arange(len(origins))
        low, high = depths[rows, (first - 1).clamp_min(0)], depths[rows, first]
        for _ in range(50):
            middle = (low + high) / 2
            outside = self.value(origins + middle[:, None] * directions) > 0
            low, high = torch.where(outside, middle, low), torch.where(outside, high, middle)
        return torch.where(inside.any(1), high, torch.full_like(high, float("nan"))), values.amin(1)

    def gradient(self, points: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            points = points.detach().requires_grad_()
            return torch.autograd.grad(self.value(points).sum(), points)[0]


@pytest.fixture
def shape():
    """``shape(name)``: sphere, torus, box or shell."""
    return Shape


@pytest.fixture
def rays():
    """``rays(count)``: origins and unit directions, double, from distance 2.5 towards the unit sphere's inside."""

    def make(count: int = 400, seed: int = 0, aim: float = 0.75):
        generator = torch.Generator().manual_seed(seed)
        normal = lambda: torch.randn(count, 3, generator=generator, dtype=torch.float64)  # noqa: E731
        origins = 2.5 * torch.nn.functional.normalize(normal(), dim=1)
        radius = torch.rand(count, 1, generator=generator, dtype=torch.float64) ** (1 / 3)
        targets = aim * radius * torch.nn.functional.normalize(normal(), dim=1)
        return origins, torch.nn.functional.normalize(targets - origins, dim=1)

    return make
