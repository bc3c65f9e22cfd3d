"""Light: a second-order spherical-harmonic surrounding and point lights with highlights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor


def spherical_harmonics(directions: Tensor) -> Tensor:
    """The nine real spherical harmonics of degree 0 to 2 (orthonormal, no Condon-Shortley phase).

    Args:
        directions: ``[N, 3]`` unit vectors.

    Returns:
        ``[N, 9]`` in the order (l, m) = (0,0), (1,-1), (1,0), (1,1), (2,-2), ..., (2,2).
    """
    x, y, z = directions.unbind(-1)
    return torch.stack(
        [
            torch.full_like(x, 0.28209479),
            0.48860251 * y,
            0.48860251 * z,
            0.48860251 * x,
            1.09254843 * x * y,
            1.09254843 * y * z,
            0.31539157 * (3 * z * z - 1),
            1.09254843 * x * z,
            0.54627422 * (x * x - y * y),
        ],
        dim=-1,
    )


@dataclass
class Light:
    """What shines on the object, in the normalised frame.

    Attributes:
        harmonics: ``[9, 3]`` coefficients of the shading that the surroundings give to a normal, RGB, in the order of
            ``spherical_harmonics`` (Ramamoorthi and Hanrahan 2001; the cosine lobe is in them already).
        positions: ``[L, 3]`` point lights.
        colours: ``[L, 3]`` their RGB shading on a surface that faces them at the distance of the origin; it falls
            with the squared distance.
        shadows: point lights are blocked by the object.
    """

    harmonics: Tensor
    positions: Tensor
    colours: Tensor
    shadows: bool

    def with_lamp(self, position: Tensor, intensity: float) -> Light:
        """The same with one more white point light at ``position [3]``."""
        positions = torch.cat([self.positions, position.view(1, 3)])
        return replace(self, positions=positions, colours=torch.cat([self.colours, torch.full((1, 3), intensity)]))

    def ambient(self, normals: Tensor) -> Tensor:
        """Shading ``[N, 3]`` of unit ``normals [N, 3]`` by the surroundings, never negative."""
        return (spherical_harmonics(normals) @ self.harmonics).clamp(min=0)

    def point(
        self, index: int, points: Tensor, normals: Tensor, to_eye: Tensor, shininess: float
    ) -> tuple[Tensor, Tensor]:
        """One point light, unshadowed.

        Args:
            index: which light; points, normals, to_eye: ``[N, 3]``, the latter two unit.
            shininess: exponent of the highlight (Blinn 1977).

        Returns:
            diffuse shading ``[N, 3]`` and highlight ``[N, 3]`` before the material's strength.
        """
        position = self.positions[index]
        to_light = position - points
        squared = to_light.square().sum(-1, keepdim=True)
        to_light = to_light * squared.rsqrt()
        radiance = self.colours[index] * (position.square().sum() / squared)
        facing = (normals * to_light).sum(-1, keepdim=True).clamp(min=0)
        half = torch.nn.functional.normalize(to_light + to_eye, dim=-1)
        highlight = (normals * half).sum(-1, keepdim=True).clamp(min=0) ** shininess
        return radiance * facing, radiance * highlight * (facing > 0)


def studio_light(ambient: float, point_lights: int, intensity: float, shadows: bool, seed: int) -> Light:
    """A seeded light, float32: bright from above and tinted a little, with point lights round the object.

    Args:
        ambient: mean shading by the surroundings.
        point_lights: how many; intensity: the shading each gives to a surface that faces it.
        shadows: whether the object blocks them.
        seed: of the surroundings' variation and the lights' places.
    """
    random = np.random.default_rng([seed, 1])
    harmonics = np.zeros((9, 3))
    harmonics[0] = 1.0
    harmonics[2] = 0.22  # z is up: brighter from above
    harmonics[1:] += random.normal(scale=0.08, size=(8, 1)) + random.normal(scale=0.02, size=(8, 3))
    harmonics *= ambient / 0.28209479

    azimuth = random.uniform(0, 2 * np.pi) + np.arange(point_lights) * np.pi * (3 - np.sqrt(5))
    height = 0.7 - 1.2 * (np.arange(point_lights) + 0.5) / max(point_lights, 1)
    planar = np.sqrt(1 - height**2)
    positions = 3.5 * np.stack([planar * np.cos(azimuth), planar * np.sin(azimuth), height], axis=-1)
    colours = intensity * (1 + random.uniform(-0.06, 0.06, size=(point_lights, 3)))

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32))

    return Light(tensor(harmonics), tensor(positions), tensor(colours), shadows)
