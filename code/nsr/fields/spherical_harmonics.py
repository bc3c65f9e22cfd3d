"""Real spherical harmonics as polynomials of the coordinates."""

from __future__ import annotations

import math

import torch

from nsr.fields.encoding import Encoding, opening_weights, register_encoding

MAX_DEGREE = 5


@register_encoding("SHEncoder")
class SphericalHarmonics(Encoding):
    """``(x, |x|^l Y_lm(x / |x|))`` for l = 0 .. degree - 1 and m = -l .. l, in this order.

    The harmonics are orthonormal on the sphere and have no Condon-Shortley phase: the first four are 0.2821 and
    0.4886 times y, z, x (Ramamoorthi and Hanrahan 2001, eq. 3).  They are written as homogeneous polynomials (solid
    harmonics), so that they serve points as well as directions: on unit vectors they are the spherical harmonics,
    and they are smooth at the origin.

    Args:
        input_dim: must be 3.
        degree: number of bands, 1 to 5; the output has ``3 + degree**2`` channels.
    """

    def __init__(self, input_dim: int = 3, degree: int = 4):
        super().__init__()
        if input_dim != 3:
            raise ValueError(f"spherical harmonics are functions of 3 coordinates, not {input_dim}")
        if not 1 <= degree <= MAX_DEGREE:
            raise ValueError(f"degree must be 1 to {MAX_DEGREE}, got {degree}")
        self.input_dim, self.degree = 3, degree
        self.levels = degree
        self.channels = 3 + degree**2
        polynomials = solid_harmonics(degree)
        monomials = sorted({exponents for polynomial in polynomials for exponents in polynomial})
        coefficients = torch.zeros(len(polynomials), len(monomials), dtype=torch.float64)
        for row, polynomial in enumerate(polynomials):
            for exponents, coefficient in polynomial.items():
                coefficients[row, monomials.index(exponents)] = coefficient
        self.register_buffer("exponents", torch.tensor(monomials).t().contiguous(), persistent=False)  # [3, M]
        self.register_buffer("coefficients", coefficients.to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("weights", torch.ones(degree**2), persistent=False)

    def set_progress(self, progress: float) -> None:
        bands = torch.arange(self.degree)
        self.weights.copy_(opening_weights(progress, self.degree).repeat_interleave(2 * bands + 1))

    def _powers(self, x: torch.Tensor) -> list[torch.Tensor]:
        """For each axis, the factor ``[N, M]`` that it contributes to each monomial."""
        ones = torch.ones_like(x)
        ladder = [ones]
        for _ in range(self.degree - 1):
            ladder.append(ladder[-1] * x)
        powers = torch.stack(ladder, dim=-1)  # [N, 3, degree]
        return [powers[:, axis, self.exponents[axis]] for axis in range(3)]

    def _slopes(self, x: torch.Tensor, axis: int) -> torch.Tensor:
        """Derivative of an axis' factor in its coordinate ``[N, M]``."""
        exponents = self.exponents[axis]
        ladder = [torch.zeros_like(x[:, axis]), torch.ones_like(x[:, axis])]
        for power in range(2, self.degree):
            ladder.append(ladder[-1] * x[:, axis] * (power / (power - 1)))
        return torch.stack(ladder, dim=-1)[:, exponents]

    def _matrix(self) -> torch.Tensor:
        return self.coefficients * self.weights.unsqueeze(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        along_x, along_y, along_z = self._powers(x)
        return torch.cat([x, (along_x * along_y * along_z) @ self._matrix().t()], dim=1)

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        factors = self._powers(x)
        matrix = self._matrix()
        columns = []
        for axis in range(3):
            parts = [self._slopes(x, other) if other == axis else factors[other] for other in range(3)]
            columns.append((parts[0] * parts[1] * parts[2]) @ matrix.t())
        features = (factors[0] * factors[1] * factors[2]) @ matrix.t()
        identity = torch.eye(3, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)
        return torch.cat([x, features], dim=1), torch.cat([identity, torch.stack(columns, dim=-1)], dim=1)


Polynomial = dict[tuple[int, int, int], float]  # exponents of x, y, z to coefficient


def solid_harmonics(degree: int) -> list[Polynomial]:
    """The orthonormal real solid harmonics of bands 0 to ``degree - 1`` as polynomials.

    ``Y_lm = N_lm P_l|m|(z, r^2) A_m(x, y)``, where ``A_m`` is the real part of ``(x + iy)^m`` for m >= 0 and the
    imaginary part of ``(x + iy)^|m|`` for m < 0, and P follows the recurrence of the associated Legendre functions.
    """
    x, y, z = {(1, 0, 0): 1.0}, {(0, 1, 0): 1.0}, {(0, 0, 1): 1.0}
    square = {(2, 0, 0): 1.0, (0, 2, 0): 1.0, (0, 0, 2): 1.0}
    real, imaginary = [{(0, 0, 0): 1.0}], [{}]
    for m in range(degree - 1):
        real.append(_sum(_product(x, real[m]), _product(y, imaginary[m]), -1))
        imaginary.append(_sum(_product(y, real[m]), _product(x, imaginary[m])))
    legendre: dict[tuple[int, int], Polynomial] = {}
    for m in range(degree):
        legendre[m, m] = {(0, 0, 0): float(math.prod(range(1, 2 * m, 2)))}
        if m + 1 < degree:
            legendre[m + 1, m] = _scaled(_product(z, legendre[m, m]), 2 * m + 1)
        for band in range(m + 2, degree):
            upper = _scaled(_product(z, legendre[band - 1, m]), (2 * band - 1) / (band - m))
            legendre[band, m] = _sum(upper, _product(square, legendre[band - 2, m]), -(band + m - 1) / (band - m))
    harmonics = []
    for band in range(degree):
        for m in range(-band, band + 1):
            order = abs(m)
            norm = (2 * band + 1) / (4 * math.pi) * math.factorial(band - order) / math.factorial(band + order)
            scale = math.sqrt(norm * (2 if m else 1))
            angular = imaginary[order] if m < 0 else real[order]
            harmonics.append(_scaled(_product(legendre[band, order], angular), scale))
    return harmonics


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for (a, b, c), one in left.items():
        for (d, e, f), other in right.items():
            key = (a + d, b + e, c + f)
            result[key] = result.get(key, 0.0) + one * other
    return result


def _scaled(polynomial: Polynomial, factor: float) -> Polynomial:
    return {exponents: factor * coefficient for exponents, coefficient in polynomial.items()}


def _sum(left: Polynomial, right: Polynomial, factor: float = 1.0) -> Polynomial:
    result = dict(left)
    for exponents, coefficient in right.items():
        result[exponents] = result.get(exponents, 0.0) + factor * coefficient
    return result
