"""Second-order spherical-harmonic illumination: shading from normals, lights from directions or from a shading.

The 27 coefficients of a light are channel-major (nine for red, then green, then blue) and refer, as SfSNet's, to axes
x right, y up, z towards the viewer.  Normals are in this project's camera frame (x right, y down, z forward); the
functions here turn one into the other, and nothing else needs to.
"""

from __future__ import annotations

import math

import torch

COEFFICIENTS = 27  # nine for each of three channels
_SH0 = 1 / math.sqrt(4 * math.pi)
_SH1 = math.sqrt(3 / (4 * math.pi))
_SH2 = math.sqrt(15 / (4 * math.pi))
# Constants of the real harmonics, in the order 1, z, x, y, 2z^2-x^2-y^2, xz, yz, x^2-y^2, xy
_HARMONIC_CONSTANTS = (_SH0, _SH1, _SH1, _SH1, math.sqrt(5 / (16 * math.pi)), _SH2, _SH2, _SH2 / 2, _SH2)
# What a clamped cosine leaves of each order (Ramamoorthi and Hanrahan 2001, eq. 8)
_COSINE_LOBE = (math.pi,) + (2 * math.pi / 3,) * 3 + (math.pi / 4,) * 5
LAMBERTIAN_CONSTANTS = tuple(a * k for a, k in zip(_COSINE_LOBE, _HARMONIC_CONSTANTS, strict=True))
_FRAME = (1.0, -1.0, -1.0)  # camera axes to the axes of the light: y and z change sign


def change_frame(vectors: torch.Tensor, dim: int = 1) -> torch.Tensor:
    """Vectors ``[..., 3, ...]`` along ``dim`` from camera axes to those of lights and SfSNet's files, or back."""
    shape = [1] * vectors.ndim
    shape[dim] = 3
    return vectors * vectors.new_tensor(_FRAME).view(shape)


def _polynomials(vectors: torch.Tensor) -> torch.Tensor:
    """``[B, 3, ...]`` in the light's axes -> the nine polynomials ``[B, 9, ...]``."""
    x, y, z = vectors.unbind(1)
    return torch.stack((torch.ones_like(x), z, x, y, 2 * z * z - x * x - y * y, x * z, y * z, x * x - y * y, x * y), 1)


def _scaled(polynomials: torch.Tensor, constants: tuple[float, ...]) -> torch.Tensor:
    return polynomials * polynomials.new_tensor(constants).view(1, 9, *[1] * (polynomials.ndim - 2))


def lambertian_basis(normal: torch.Tensor) -> torch.Tensor:
    """What each coefficient of a light adds to the shading of a matt surface (SfSNet, Sengupta et al. 2018, eq. 3).

    Args:
        normal: ``[B, 3, H, W]`` camera frame; made unit here, so that a length never passes for light.

    Returns:
        ``[B, 9, H, W]``; differentiable in the normal.
    """
    unit = torch.nn.functional.normalize(normal, dim=1)
    return _scaled(_polynomials(change_frame(unit)), LAMBERTIAN_CONSTANTS)


def shade(normal: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """Shading ``[B, 3, H, W]`` of ``normal`` ``[B, 3, H, W]`` under ``light`` ``[B, 27]``; differentiable in both."""
    return torch.einsum("bkhw,bck->bchw", lambertian_basis(normal), light.view(-1, 3, 9))


def relight(albedo: torch.Tensor, normal: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """The matt surface ``albedo``, ``normal`` under another ``light`` ``[B, 27]``; other shapes ``[B, 3, H, W]``."""
    return albedo * shade(normal, light)


def directional_light(direction: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """The coefficients of a far point light, under which a surface that faces it has the shading ``colour``, nearly.

    Args:
        direction: ``[B, 3]`` unit, towards the light, camera frame; colour: ``[B, 3]``.

    Returns:
        ``[B, 27]``: the harmonics at the direction.  Orders above two, which the clamped cosine has, are not there.
    """
    harmonics = _scaled(_polynomials(change_frame(direction)), _HARMONIC_CONSTANTS)
    return (colour[:, :, None] * harmonics[:, None, :]).flatten(1)


def ambient_light(colour: torch.Tensor) -> torch.Tensor:
    """``colour`` ``[B, 3]`` -> ``[B, 27]``: a light from everywhere, under which every surface has that shading."""
    light = colour.new_zeros(len(colour), 3, 9)
    light[:, :, 0] = colour / LAMBERTIAN_CONSTANTS[0]
    return light.flatten(1)


def fit_light(normal: torch.Tensor, shading: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The light whose shading of ``normal`` is nearest to ``shading``, by weighted least squares.

    Args:
        normal, shading: ``[B, 3, H, W]``; weight: ``[B, 1, H, W]`` or ``[B, 3, H, W]``, not negative; zero where the
            shading is unknown.

    Returns:
        ``[B, 27]``.  What the normals do not determine (a plane's second-order light) is kept small by a slight
        damping; zero where nothing has weight.
    """
    basis = lambertian_basis(normal).flatten(2).double()
    weight = weight.expand_as(shading).flatten(2).double()
    system = torch.einsum("bkp,bcp,blp->bckl", basis, weight, basis)
    right = torch.einsum("bkp,bcp,bcp->bck", basis, weight, shading.flatten(2).double())
    damping = 1e-6 * system.diagonal(dim1=-2, dim2=-1).mean(-1).clamp_min(1e-12)
    system = system + damping[..., None, None] * torch.eye(9, dtype=system.dtype, device=system.device)
    return torch.linalg.solve(system, right[..., None])[..., 0].flatten(1).to(shading.dtype)


def principal_direction(light: torch.Tensor) -> torch.Tensor:
    """Where most of the light ``[B, 27]`` comes from: ``[B, 3]`` unit, camera frame (first order, mean of channels)."""
    z, x, y = light.view(-1, 3, 9).mean(1)[:, 1:4].unbind(1)
    return torch.nn.functional.normalize(change_frame(torch.stack((x, y, z), 1)), dim=1)
