"""Pictures of a surface under random light: 27 harmonics, and what they cannot say.

The light is a smooth surround and one far lamp.  Its coefficients shade the matt, unshadowed surface; the picture has
besides the lamp's exact clamped cosine and cast shadow, ambient occlusion of the surround, and a highlight.  What they
add is the residue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nsr.priors.networks.intrinsic_decomposition.illumination import (
    ambient_light,
    directional_light,
    shade,
)
from nsr.priors.networks.intrinsic_decomposition.synthetic.surfaces import Surface

_REACH = 1.2  # how far a shadow falls in the picture's plane, in its half widths
_SOFTNESS = 0.15  # rise over reach within which a shadow's edge fades


@dataclass(frozen=True)
class Picture:
    """``image`` and ``shading`` ``[3, H, W]`` (image = albedo x shading, before noise), ``light`` ``[27]``."""

    image: np.ndarray
    shading: np.ndarray
    light: np.ndarray


def _shifted(height: np.ndarray, right: int, down: int) -> np.ndarray:
    """``height`` read ``right`` and ``down`` pixels further; -inf beyond the frame."""
    rows, columns = height.shape
    result = np.full(height.shape, -np.inf)
    if abs(right) >= columns or abs(down) >= rows:
        return result
    result[max(-down, 0) : rows - max(down, 0), max(-right, 0) : columns - max(right, 0)] = height[
        max(down, 0) : rows - max(-down, 0), max(right, 0) : columns - max(-right, 0)
    ]
    return result


def cast_shadow(surface: Surface, direction: np.ndarray) -> np.ndarray:
    """How much of a lamp at ``direction`` ``[3]`` (unit, camera frame, z below zero) each pixel sees: ``[H, W]``.

    One where nothing stands between, zero in shadow, with a narrow edge; the surface's own turning away is not in it.
    """
    size = len(surface.height)
    plane = float(np.hypot(*direction[:2]))
    if plane < 1e-6:
        return np.ones_like(surface.height)
    height = np.where(surface.mask, surface.height, -np.inf)
    here = np.where(surface.mask, surface.height, 0.0)
    blocked = np.full(height.shape, -np.inf)
    for pixels in np.unique(np.geomspace(1.5, _REACH * size / 2, 24).round()):
        way = pixels * 2 / size  # in the picture's plane
        right, down = (pixels * direction[:2] / plane).round().astype(int)
        ray = here - direction[2] / plane * way
        blocked = np.maximum(blocked, (_shifted(height, right, down) - ray) / way)
    return np.clip(1 - blocked / _SOFTNESS, 0, 1)


def ambient_occlusion(surface: Surface) -> np.ndarray:
    """The share of the surround each pixel sees, ``[H, W]`` in [0, 1] (horizon based, Bavoil et al. 2008)."""
    size = len(surface.height)
    height = np.where(surface.mask, surface.height, -np.inf)
    here = np.where(surface.mask, surface.height, 0.0)
    hidden = np.zeros(height.shape)
    azimuths = np.arange(8) * np.pi / 4
    for azimuth in azimuths:
        direction = np.array([np.cos(azimuth), np.sin(azimuth)])
        tangent = np.einsum("i,ihw->hw", direction, surface.slope)
        horizon = tangent
        for pixels in np.unique(np.geomspace(1, size / 4, 6).round()):
            right, down = (pixels * direction).round().astype(int)
            way = np.hypot(right, down) * 2 / size
            horizon = np.maximum(horizon, (_shifted(height, right, down) - here) / way)
        hidden += horizon / np.hypot(1, horizon) - tangent / np.hypot(1, tangent)
    return np.clip(1 - hidden / len(azimuths), 0, 1)


def random_picture(
    random: np.random.Generator, surface: Surface, albedo: np.ndarray, occlusion: np.ndarray | None = None
) -> Picture:
    """A picture of ``surface`` with ``albedo`` ``[3, H, W]`` under a light drawn from ``random``.

    ``occlusion`` is the surface's ``ambient_occlusion``, where it is known already.  The exposure puts the bright
    end of the picture at 0.6 to 0.95; what exceeds one is cut, in image and shading alike.
    """
    normal = torch.from_numpy(surface.normal)[None]
    mask = surface.mask
    direction = random.normal(size=3)
    direction[2] = -abs(direction[2]) - 0.4  # from the viewer's side
    direction /= np.linalg.norm(direction)
    lamp_colour = random.uniform(0.5, 1.2) * np.exp(random.normal(0, 0.12, 3))
    surround = ambient_light(_row(random.uniform(0.1, 0.5) * np.exp(random.normal(0, 0.12, 3))))
    variation = _row(random.normal(0, 0.25, 27)) * surround.view(1, 3, 9)[:, :, :1].repeat(1, 1, 9).flatten(1)
    variation.view(1, 3, 9)[:, :, 0] = 0
    surround = surround + variation
    lamp = directional_light(_row(direction), _row(lamp_colour))

    visible = cast_shadow(surface, direction)
    occlusion = ambient_occlusion(surface) if occlusion is None else occlusion
    cosine = np.clip(np.einsum("i,ihw->hw", direction, surface.normal), 0, None) * visible
    halfway = direction + np.array([0, 0, -1.0])
    halfway /= np.linalg.norm(halfway)
    gloss = random.uniform(0, 0.5) if random.random() < 0.5 else 0.0
    facing = np.clip(np.einsum("i,ihw->hw", halfway, surface.normal), 0, 1)
    highlight = gloss * facing ** random.uniform(10, 60) * (cosine > 0) * visible

    matt = np.maximum(shade(normal, surround)[0].numpy(), 0.02) * occlusion + lamp_colour[:, None, None] * cosine
    image = np.where(mask, albedo * matt + lamp_colour[:, None, None] * highlight, 0.0)
    gain = random.uniform(0.6, 0.95) / max(float(np.percentile(image[:, mask], 98)), 1e-3)
    image = np.minimum(gain * image, 1.0)
    shading = np.divide(image, albedo, out=np.zeros_like(image), where=albedo > 0)
    return Picture(image, shading, gain * (surround + lamp)[0].numpy())


def _row(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)[None]
