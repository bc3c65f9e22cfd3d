"""Depth and infrared frames on disk: 16-bit PNG in millimetres, and a camera's raw dumps."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_file
from nsr.errors import NsrError

RAW_SIZES = ((848, 480), (1280, 720), (640, 480))  # width, height
MILLIMETRES = 1000.0
_INFRARED = "infrared"  # in the name of a raw dump: 8 bits a pixel instead of 16


def read_depth(path: Path) -> np.ndarray:
    """``[H, W]`` float32 metres, 0 in holes, from a 16-bit PNG in millimetres or a raw dump.

    Raises:
        NsrError: the file cannot be read, or is not what it should be.
    """
    pixels = _read_raw(path, np.uint16) if path.suffix.lower() == ".raw" else _read_picture(path)
    if pixels.dtype != np.uint16 or pixels.ndim != 2:
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise NsrError(
            f"{path}: depth is a grey 16-bit PNG in millimetres; this one has {pixels.dtype.itemsize * 8} bits and "
            f"{channels} channel{'s' * (channels > 1)}"
        )
    return pixels.astype(np.float32) / np.float32(MILLIMETRES)


def read_infrared(path: Path) -> np.ndarray:
    """``[H, W]`` float32 in [0, 1] over the full range of the file's bits, from a PNG, JPEG or raw dump.

    8-bit values that were stored in 16 bits unscaled, as some cameras' tools do, are known by their maximum.

    Raises:
        NsrError: the file cannot be read.
    """
    pixels = _read_raw(path, np.uint8) if path.suffix.lower() == ".raw" else _read_picture(path)
    if pixels.ndim == 3:
        pixels = pixels[..., :3].mean(-1).astype(pixels.dtype)
    full = 255 if pixels.dtype == np.uint8 or pixels.max() <= 255 else np.iinfo(np.uint16).max
    return pixels.astype(np.float32) / np.float32(full)


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write ``[H, W]`` metres as a 16-bit PNG in millimetres, rounded; the file appears whole or not at all.

    Raises:
        NsrError: a depth is negative or not finite.
    """
    if not np.isfinite(depth).all() or depth.min() < 0:
        raise NsrError(f"{path}: depths must be finite and not negative to be written in 16 bits")
    write_pixels(path, np.round(depth * MILLIMETRES).clip(0, np.iinfo(np.uint16).max).astype(np.uint16))


def write_pixels(path: Path, pixels: np.ndarray) -> None:
    """Write ``[H, W]`` uint8 or uint16 as a PNG; the file appears whole or not at all."""
    with whole_file(path) as partial:
        cv2.imwrite(str(partial), pixels)


def is_infrared(path: Path) -> bool:
    """Whether a raw dump is of the infrared stream, by its name."""
    return _INFRARED in path.name.lower()


def _read_picture(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if pixels is None:
        raise NsrError(f"{path}: {'not a picture, or damaged' if path.is_file() else 'there is no such file'}")
    return pixels


def _read_raw(path: Path, kind: type) -> np.ndarray:
    if not path.is_file():
        raise NsrError(f"{path}: there is no such file")
    pixels = np.fromfile(path, kind)
    for width, height in RAW_SIZES:
        if path.stat().st_size == width * height * np.dtype(kind).itemsize:
            return pixels.reshape(height, width)
    known = ", ".join(f"{width}x{height}" for width, height in RAW_SIZES)
    raise NsrError(
        f"{path}: {path.stat().st_size} bytes are no raw frame of {8 * np.dtype(kind).itemsize} bits a pixel; "
        f"known sizes are {known}"
    )
