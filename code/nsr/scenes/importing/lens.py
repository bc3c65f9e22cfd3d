"""What lenses do to straight lines: from pinhole rays to where a real lens puts them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PROJECTIONS = ("perspective", "equidistant", "field_of_view", "division", "unified")


@dataclass(frozen=True)
class Lens:
    """A lens as a map of the normalised image plane; the default is a pinhole, which changes nothing.

    A ray ``(x, y, 1)`` is bent by the projection, then displaced by Brown's polynomial: with r the bent ray's length,
    ``(1 + k1 r^2 + k2 r^4 + ...) / (1 + k4 r^2 + ...)`` times the ray, plus tangential terms as OpenCV orders them
    (``2 p1 x y + p2 (r^2 + 2 x^2)``), plus thin-prism terms ``s1 r^2 + s2 r^4``.  With the equidistant projection r is
    the angle to the axis, which makes the polynomial that of Kannala and Brandt (2006) fisheyes.

    Attributes:
        projection: one of ``PROJECTIONS``.
        bend: the projection's own parameters: ``omega`` of field_of_view (Devernay and Faugeras 2001), ``k`` of
            division (Fitzgibbon 2001), ``alpha, beta`` of unified (enhanced unified model, Khomutenko et al. 2016).
        radial: numerator k1, k2, ...; denominator: its counterpart.
        tangential: p1, p2.
        prism: s1, s2 along x and s3, s4 along y.
        radial_first: tangential and prism terms act on the ray that the radial terms have displaced already.
    """

    projection: str = "perspective"
    bend: tuple[float, ...] = ()
    radial: tuple[float, ...] = ()
    denominator: tuple[float, ...] = ()
    tangential: tuple[float, float] = (0.0, 0.0)
    prism: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    radial_first: bool = False

    @property
    def is_pinhole(self) -> bool:
        """Straight lines stay straight."""
        polynomial = (*self.radial, *self.denominator, *self.tangential, *self.prism)
        return not any(polynomial) and (self.projection == "perspective" or self.bend in {(0.0,), (0.0, 1.0)})

    def distort(self, rays: np.ndarray) -> np.ndarray:
        """Where the lens puts rays.

        Args:
            rays: ``[N, 2]`` x / z and y / z in camera axes.

        Returns:
            ``[N, 2]`` on the normalised image plane, to be multiplied by the intrinsics; NaN where the lens has no
            picture of a ray.
        """
        x, y = self._bent(np.asarray(rays, dtype=np.float64)).T
        squared = x**2 + y**2
        factor = _polynomial(self.radial, squared) / _polynomial(self.denominator, squared)
        radial_x, radial_y = factor * x, factor * y
        if self.radial_first:
            x, y = radial_x, radial_y
            squared = x**2 + y**2
        p1, p2 = self.tangential
        s1, s2, s3, s4 = self.prism
        shift_x = 2 * p1 * x * y + p2 * (squared + 2 * x**2) + s1 * squared + s2 * squared**2
        shift_y = p1 * (squared + 2 * y**2) + 2 * p2 * x * y + s3 * squared + s4 * squared**2
        return np.stack([radial_x + shift_x, radial_y + shift_y], axis=-1)

    def _bent(self, rays: np.ndarray) -> np.ndarray:
        if self.projection == "perspective":
            return rays
        radius = np.linalg.norm(rays, axis=-1, keepdims=True)
        safe = np.maximum(radius, 1e-12)
        if self.projection == "equidistant":
            return rays * np.where(radius > 1e-12, np.arctan(radius) / safe, 1.0)
        if self.projection == "field_of_view":
            (omega,) = self.bend
            if abs(omega) < 1e-9:
                return rays
            limit = 2 * np.tan(omega / 2) / omega
            return rays * np.where(radius > 1e-12, np.arctan(2 * radius * np.tan(omega / 2)) / (safe * omega), limit)
        if self.projection == "division":
            (k,) = self.bend
            inside = 1 - 4 * k * radius**2
            return rays * 2 / (1 + np.sqrt(np.where(inside >= 0, inside, np.nan)))
        alpha, beta = self.bend
        return rays / (alpha * np.sqrt(beta * radius**2 + 1) + (1 - alpha))


def _polynomial(coefficients: tuple[float, ...], squared: np.ndarray) -> np.ndarray:
    """1 + c1 s + c2 s^2 + ..."""
    value = np.zeros_like(squared)
    for coefficient in reversed(coefficients):
        value = (value + coefficient) * squared
    return 1 + value
