"""Depth as cameras store it: grey 16-bit PNG in millimetres, 0 in holes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_file
from nsr.errors import NsrError

MILLIMETRES = 1000.0  # in a metre
DEEPEST = np.iinfo(np.uint16).max  # millimetres
FARTHEST = DEEPEST / MILLIMETRES  # metres


def read_depth_png(path: Path) -> np.ndarray:
    """``[H, W]`` float32 metres, 0 in holes.

    Raises:
        NsrError: the file cannot be read, or is not what it should be.
    """
    pixels = read_pixels(path)
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise NsrError(
            f"{path}: depth is a grey 16-bit PNG in millimetres; this one has {pixels.dtype.itemsize * 8} bits and "
            f"{channels} channel{'s' * (channels > 1)}"
        )
    return pixels.astype(np.float32) / np.float32(MILLIMETRES)


def write_depth_png(path: Path, depth: np.ndarray) -> None:
    """Write ``[H, W]`` metres, rounded to millimetres; the file appears whole or not at all.

    Raises:
        NsrError: a depth is negative, not finite or beyond ``FARTHEST``.
    """
    if not np.isfinite(depth).all() or depth.min() < 0 or np.round(depth.max() * MILLIMETRES) > DEEPEST:
        raise NsrError(f"{path}: depths in 16 bits of millimetres must be finite, from 0 to {FARTHEST} m")
    write_pixels(path, np.round(depth * MILLIMETRES).astype(np.uint16))


def read_pixels(path: Path) -> np.ndarray:
    """A picture's values as they are stored.

    Raises:
        NsrError: there is no such file, or it is no picture.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if pixels is None:
        raise NsrError(f"{path}: {'not a picture, or damaged' if path.is_file() else 'there is no such file'}")
    return pixels


def write_pixels(path: Path, pixels: np.ndarray) -> None:
    """Write ``[H, W]`` uint8 or uint16 as a PNG; the file appears whole or not at all."""
    with whole_file(path) as partial:
        cv2.imwrite(str(partial), pixels)
