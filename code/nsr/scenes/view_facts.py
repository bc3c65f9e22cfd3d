"""What is measured on one view, so that views can be judged and compared without keeping their pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

OVEREXPOSED = 250  # of 255, in every channel


@dataclass
class CameraFacts:
    """How one camera stands to the unit sphere of the normalised frame.

    Attributes:
        intrinsics, pose: ``[3, 3]`` and ``[4, 4]`` (camera to normalised frame), float64.
        distance: of the camera's centre from the origin.
        pixels_in_sphere: mask pixels whose rays meet the unit sphere.
        sphere_radius: of the sphere's outline, in pixels; infinite from inside.
        looks_away: the unit sphere is behind the camera or wholly outside the frame.
    """

    intrinsics: np.ndarray
    pose: np.ndarray
    distance: float
    pixels_in_sphere: int
    sphere_radius: float
    looks_away: bool


@dataclass
class ViewFacts:
    """Measurements on one view.

    Attributes:
        view: its index.
        name: for messages, "view 3" or "view 3 (003.png)".
        size: height and width.
        mask_pixels: number of pixels on the object.
        border_fraction: share of the frame's outermost pixels that the mask covers.
        centre_fraction: share of the frame's middle (half of each side) that the mask covers.
        image_hash: equal for images that are equal in every pixel.
        sharpness: mean squared Laplacian over variance of the grey values inside the mask (no unit; NaN where the
            mask is too thin to tell).
        overexposed: share of the mask's pixels that are white in every channel.
        camera: None when the view has no usable camera.
    """

    view: int
    name: str
    size: tuple[int, int]
    mask_pixels: int
    border_fraction: float
    centre_fraction: float
    image_hash: bytes
    sharpness: float
    overexposed: float
    camera: CameraFacts | None

    @property
    def mask_fraction(self) -> float:
        return self.mask_pixels / (self.size[0] * self.size[1])


def measure_view(
    view: int,
    name: str,
    image: np.ndarray,
    mask: np.ndarray,
    camera: tuple[np.ndarray, np.ndarray] | None,
) -> ViewFacts:
    """Measure one view.

    Args:
        image: ``[H, W, 3]`` uint8; mask: ``[H, W]`` bool.
        camera: intrinsics ``[3, 3]`` and pose ``[4, 4]`` in the normalised frame, or None.
    """
    height, width = mask.shape
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    quarter_h, quarter_w = height // 4, width // 4
    mask_pixels = int(mask.sum())
    return ViewFacts(
        view=view,
        name=name,
        size=(height, width),
        mask_pixels=mask_pixels,
        border_fraction=float(border.mean()),
        centre_fraction=float(mask[quarter_h : height - quarter_h, quarter_w : width - quarter_w].mean()),
        image_hash=hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest(),
        sharpness=_sharpness(image, mask),
        overexposed=float((image.min(axis=-1)[mask] >= OVEREXPOSED).mean()) if mask_pixels else 0.0,
        camera=None if camera is None else _measure_camera(mask, *camera),
    )


def _sharpness(image: np.ndarray, mask: np.ndarray) -> float:
    """Away from the silhouette, whose edge is as sharp as the mask and says nothing of the picture."""
    inside = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
    if inside.sum() < 100:
        return float("nan")
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    variance = float(grey[inside].var(dtype=np.float64))
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)[inside]
    return float(np.square(laplacian, dtype=np.float64).mean()) / variance if variance > 0 else float("nan")


def _measure_camera(mask: np.ndarray, intrinsics: np.ndarray, pose: np.ndarray) -> CameraFacts:
    centre = -pose[:3, :3].T @ pose[:3, 3]  # of the sphere, in camera axes
    distance = float(np.linalg.norm(centre))
    if distance <= 1:
        return CameraFacts(intrinsics, pose, distance, int(mask.sum()), float("inf"), looks_away=False)
    v, u = np.nonzero(mask)
    y = (v - intrinsics[1, 2]) / intrinsics[1, 1]
    x = (u - intrinsics[0, 2] - intrinsics[0, 1] * y) / intrinsics[0, 0]
    along = x * centre[0] + y * centre[1] + centre[2]
    meets = (along > 0) & (along**2 >= (x**2 + y**2 + 1) * (distance**2 - 1))
    radius = float(np.sqrt(intrinsics[0, 0] * intrinsics[1, 1] / (distance**2 - 1)))
    looks_away = bool(centre[2] <= 0)
    if not looks_away:
        projected = (intrinsics @ centre)[:2] / centre[2]
        nearest = np.clip(projected, 0, (mask.shape[1] - 1, mask.shape[0] - 1))
        looks_away = bool(np.linalg.norm(projected - nearest) > radius)
    return CameraFacts(intrinsics, pose, distance, int(meets.sum()), radius, looks_away)
