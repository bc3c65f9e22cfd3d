"""Named analytic shapes: a smooth body, and a relief on it that can be taken off.

Every shape is given in the normalised frame, its largest radius at most about 0.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nsr.scenes.synthetic import distance_functions as df

#: No shape reaches beyond this radius, so tracing and extraction look no farther.
BOUNDING_RADIUS = 0.9


@dataclass(frozen=True)
class Shape:
    """An analytic solid.

    Attributes:
        name: its name in ``SHAPES``.
        body: ``[N, 3] -> [N]`` signed distance of the body without relief.
        relief: ``[N, 3] -> [N]`` height pattern in about [-1, 1], or None.
        relief_height: height of the pattern's crests above the body, normalised units.
        slope_limit: an upper bound of the gradient's norm of ``field``, which makes sphere tracing safe.
    """

    name: str
    body: Callable[[Tensor], Tensor]
    relief: Callable[[Tensor], Tensor] | None = None
    relief_height: float = 0.0
    slope_limit: float = 1.05

    def field(self, points: Tensor) -> Tensor:
        """Implicit function ``[N]`` of ``points [N, 3]``: negative inside, zero on the surface.

        The body's distance less the relief's height: near the surface its gradient's norm is close to, but not, 1.
        Differentiable in the points.
        """
        distance = self.body(points)
        if self.relief is None:
            return distance
        return distance - self.relief_height * self.relief(points)

    def field_and_gradient(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """``field`` ``[N]`` and its gradient ``[N, 3]`` by automatic differentiation, both detached."""
        with torch.enable_grad():
            points = points.detach().requires_grad_(True)
            value = self.field(points)
            (gradient,) = torch.autograd.grad(value.sum(), points)
        return value.detach(), gradient

    def without_relief(self) -> Shape:
        """The same body, smooth."""
        return replace(self, relief=None, relief_height=0.0, slope_limit=1.05)


def _carved_stone(points: Tensor) -> Tensor:
    body = df.ellipsoid(points, (0, 0, 0), (0.68, 0.64, 0.68))
    body = df.smooth_union(body, df.sphere(points, (0.30, 0.28, 0.26), 0.29), 0.16)
    body = df.smooth_union(body, df.sphere(points, (-0.33, 0.24, -0.28), 0.28), 0.16)
    body = df.smooth_union(body, df.sphere(points, (0.26, -0.34, -0.28), 0.26), 0.16)
    body = df.smooth_carve(body, df.sphere(points, (-0.34, -0.46, 0.50), 0.46), 0.06)
    return df.smooth_carve(body, df.sphere(points, (0.68, 0.10, -0.36), 0.40), 0.06)


def _bowl(points: Tensor) -> Tensor:
    solid = df.smooth_carve(df.sphere(points, (0, 0, 0), 0.72), points[:, 2] * -1 + 0.12, 0.08)
    hollow = df.smooth_carve(solid, df.sphere(points, (0, 0, 0.14), 0.58), 0.06)
    return df.smooth_union(hollow, df.capsule(points, (0, 0, -0.66), (0, 0, -0.72), 0.05), 0.2)


def _torus(points: Tensor) -> Tensor:
    return df.torus(points, 0.54, 0.22)


def _figure(points: Tensor) -> Tensor:
    body = df.ellipsoid(points, (0, 0, -0.12), (0.26, 0.22, 0.36))
    body = df.smooth_union(body, df.sphere(points, (0, 0, 0.46), 0.24), 0.14)
    for side in (-1, 1):
        arm = df.capsule(points, (0.2 * side, 0, 0.1), (0.52 * side, 0.16, 0.24), 0.09)
        leg = df.capsule(points, (0.13 * side, 0, -0.4), (0.24 * side, -0.1, -0.64), 0.1)
        body = df.smooth_union(df.smooth_union(body, arm, 0.12), leg, 0.12)
    return df.smooth_carve(body, df.sphere(points, (0, -0.34, -0.1), 0.2), 0.06)


def _pierced_box(points: Tensor) -> Tensor:
    body = df.rounded_box(points, (0.46, 0.46, 0.46), 0.1)
    for axis in range(3):
        body = df.smooth_carve(body, df.cylinder(points, axis, 0.22), 0.06)
    return body


def _sphere(points: Tensor) -> Tensor:
    return df.sphere(points, (0, 0, 0), 0.75)


def _shapes(*shapes: Shape) -> dict[str, Shape]:
    return {shape.name: shape for shape in shapes}


#: Every analytic shape by name.
SHAPES: dict[str, Shape] = _shapes(
    Shape("carved_stone", _carved_stone, lambda p: df.gyroid(p, 0.085), 0.0100, 1.7),
    Shape("bowl", _bowl, lambda p: df.gyroid(p, 0.09), 0.010, 1.75),
    Shape("torus", _torus, lambda p: df.ripples(p, 0.09), 0.010, 1.85),
    Shape("figure", _figure, lambda p: df.ripples(p, 0.08), 0.008, 1.85),
    Shape("pierced_box", _pierced_box, lambda p: df.gyroid(p, 0.09), 0.008, 1.6),
    Shape("rough_sphere", _sphere, lambda p: df.gyroid(p, 0.07), 0.012, 2.0),
    Shape("sphere", _sphere),
)
