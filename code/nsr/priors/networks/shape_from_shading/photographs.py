"""What the rig sees of a surface: the shading image, the pattern image, and the depth that the sparse pattern gives."""

from __future__ import annotations

import cv2
import numpy as np

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.rig import Rig, blurred

SHADOW_REACH = 0.012  # metres along the ray to the lamp within which the relief can stand in the light
SHADOW_STEPS = 12
PENUMBRA = 0.1  # height by which a point is hidden over its distance to what hides it, from lit to dark


def direct_light(
    rig: Rig, depth: np.ndarray, normal: np.ndarray, source: tuple[float, float, float], *, shadows: bool = True
) -> np.ndarray:
    """Irradiance from a point light on a Lambertian surface, with or without the shadows that the relief casts.

    max(n . l, 0) (d / r)^2, where l points to the light, r is the distance to it, and d the light's distance to the
    point 1 m before the camera, so that the irradiance there, facing the light, is 1.

    Args:
        depth: ``[H, W]`` metres; normal: ``[H, W, 3]`` unit, camera frame.
        source: position of the light, metres, camera frame.

    Returns:
        ``[H, W]`` float64.
    """
    points = rig.points(depth)
    towards = np.array(source) - points
    distance = np.linalg.norm(towards, axis=-1, keepdims=True)
    towards = towards / distance
    falloff = (np.array(source) ** 2).sum() - 2 * source[2] + 1
    facing = np.maximum((normal * towards).sum(-1), 0) * falloff / distance[..., 0] ** 2
    return facing * lit(rig, depth, points, towards) if shadows else facing


def lit(rig: Rig, depth: np.ndarray, points: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """How much of the light reaches each point past the rest of the surface: ``[H, W]`` float32, 1 in the open.

    The ray to the light is followed for ``SHADOW_REACH``; where the surface lies before it, the point is hidden by as
    much as that height is of ``PENUMBRA`` times the distance along the ray.

    Args:
        points, towards: ``[H, W, 3]``, the surface's points and unit directions to the light.
    """
    (x, y, z), (right, down, forward) = (np.moveaxis(part.astype(np.float32), -1, 0) for part in (points, towards))
    u, v = rig.principal_point(*depth.shape)
    surface, hidden = depth.astype(np.float32), np.zeros(depth.shape, dtype=np.float32)
    for along in np.geomspace(SHADOW_REACH / 16, SHADOW_REACH, SHADOW_STEPS, dtype=np.float32):
        at_depth = z + along * forward
        at_u = (rig.focal[0] * (x + along * right) / at_depth + u).astype(np.float32)
        at_v = (rig.focal[1] * (y + along * down) / at_depth + v).astype(np.float32)
        before = cv2.remap(surface, at_u, at_v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        hidden = np.maximum(hidden, (at_depth - before) / (PENUMBRA * along))
    return 1 - hidden.clip(0, 1)


def grid_lines(pixels: np.ndarray, pitch: float, width: float) -> np.ndarray:
    """The projector's picture at its pixels ``[..., 2]``: bright lines along both axes, with a Gaussian profile.

    Args:
        pitch: from line to line, pixels; width: of a line at half its height, pixels.

    Returns:
        ``[...]`` in [0, 1].
    """
    from_line = np.abs((pixels / pitch + 0.5) % 1 - 0.5) * pitch
    return np.exp(-4 * np.log(2) * (from_line.min(axis=-1) / width) ** 2)


def sparse_lines(rig: Rig, depth: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Projector pixels ``[H, W, 2]`` that light each camera pixel, and where a line passes through it: ``[H, W]``."""
    at = rig.pixels(rig.points(depth), *depth.shape, seen_from=np.array(rig.projector))
    on_line = (np.abs((at / pitch + 0.5) % 1 - 0.5) * pitch <= 0.5).any(axis=-1)
    return at, on_line


def low_resolution_depth(
    measured: np.ndarray, on_line: np.ndarray, pitch: float, smoothing: float = 0.6
) -> np.ndarray:
    """A smooth depth map from depth known on lines alone, as a one-shot sparse pattern gives it.

    A quadratic surface is fitted to the known pixels; what they differ from it is averaged with a Gaussian weight of
    ``smoothing`` pitches.  Nothing between the lines is read.

    Args:
        measured: ``[H, W]`` metres; on_line: ``[H, W]`` bool, where it is known.
        pitch: from line to line, pixels.

    Returns:
        ``[H, W]`` float64 metres.

    Raises:
        NsrError: fewer than six pixels are known.
    """
    known = int(np.count_nonzero(on_line))
    if known < 6:
        raise NsrError(f"the mask leaves {known} pixels on the lines of the grid; a smooth depth needs six")
    height, width = measured.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    fit = np.linalg.lstsq(terms[on_line], measured[on_line], rcond=None)[0]
    trend = terms @ fit
    return trend + blurred(measured - trend, smoothing * pitch, on_line)
