"""Pictures of a distorting lens, resampled to those of a pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.lens import Lens

ZOOMS = np.geomspace(0.5, 4.0, 160)  # of the focal length; the first that leaves no blank pixel is taken
PROBES = 41  # along each side of the picture


@dataclass
class Rectification:
    """A pinhole camera in place of a real one, and how its pictures are made.

    Attributes:
        intrinsics: ``[3, 3]`` of the pinhole camera; the principal point and the picture's size are the lens's own,
            the focal length is the smallest at which every pixel has a counterpart in the photograph.
        where: ``[H, W, 2]`` float32: for every new pixel its place (u, v) in the photograph; None for a pinhole, whose
            pictures stay as they are.
    """

    intrinsics: np.ndarray
    where: np.ndarray | None

    def picture(self, picture: np.ndarray) -> np.ndarray:
        """``[H, W]`` or ``[H, W, 3]`` uint8, resampled (bilinear)."""
        if self.where is None:
            return picture
        return cv2.remap(picture, self.where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """``[H, W]`` bool, resampled: True where at least half of the interpolated weight is."""
        return mask if self.where is None else self.picture(mask.astype(np.uint8) * 255) > 127


def rectify(intrinsics: np.ndarray, lens: Lens, size: tuple[int, int]) -> Rectification:
    """Plan the undistortion of a camera.

    Args:
        intrinsics: ``[3, 3]``, pixel (0, 0) the centre of the first.
        lens: its distortion; size: height and width of its photographs.

    Raises:
        SceneError: no pinhole picture lies wholly inside the photograph: the distortion's parameters make no sense.
    """
    if lens.is_pinhole:
        return Rectification(intrinsics, None)
    return _rectify(intrinsics.astype(np.float64).tobytes(), lens, size)


@lru_cache(maxsize=2)  # the views of a scene mostly share one camera, or come camera by camera
def _rectify(intrinsics_bytes: bytes, lens: Lens, size: tuple[int, int]) -> Rectification:
    intrinsics = np.frombuffer(intrinsics_bytes).reshape(3, 3)
    height, width = size
    probes = np.stack(
        np.meshgrid(np.linspace(-0.5, width - 0.5, PROBES), np.linspace(-0.5, height - 0.5, PROBES)), axis=-1
    )
    for zoom in ZOOMS:
        pinhole = intrinsics @ np.diag([zoom, zoom, 1.0])
        where = _places(pinhole, intrinsics, lens, probes)
        if _inside(where, size) and _unfolded(where):
            v, u = np.mgrid[:height, :width].astype(np.float64)
            full = _places(pinhole, intrinsics, lens, np.stack([u, v], axis=-1))
            return Rectification(pinhole, full.astype(np.float32))
    raise SceneError(
        f"a {lens.projection} lens with radial terms {[round(term, 4) for term in lens.radial]} leaves no part of a "
        f"{width}x{height} photograph that a pinhole camera could have taken; its parameters are probably wrong"
    )


def _places(pinhole: np.ndarray, intrinsics: np.ndarray, lens: Lens, pixels: np.ndarray) -> np.ndarray:
    """Pixels ``[..., 2]`` of the pinhole camera to pixels of the photograph."""
    homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
    rays = homogeneous @ np.linalg.inv(pinhole).T
    distorted = lens.distort(rays[..., :2].reshape(-1, 2)).reshape(pixels.shape)
    return distorted @ intrinsics[:2, :2].T + intrinsics[:2, 2]


def _inside(where: np.ndarray, size: tuple[int, int]) -> bool:
    tolerance = 0.5  # of a pixel: the border is replicated that far
    low = (where >= -0.5 - tolerance).all()
    return bool(low and (where <= np.array([size[1], size[0]]) - 0.5 + tolerance).all())  # NaN fails both


def _unfolded(where: np.ndarray) -> bool:
    """Polynomials turn back beyond the range that they were fitted in; there the picture would repeat itself."""
    across, down = np.gradient(where, axis=1), np.gradient(where, axis=0)
    return bool((across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0] > 0).all())
