"""Depth and infrared frames on disk: 16-bit PNG in millimetres, and a camera's raw dumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import NsrError
from nsr.priors.networks.common.depth_png import MILLIMETRES, read_depth_png, read_pixels

RAW_SIZES = ((848, 480), (1280, 720), (640, 480))  # width, height
_INFRARED = "infrared"  # in the name of a raw dump: 8 bits a pixel instead of 16


def read_depth(path: Path) -> np.ndarray:
    """``[H, W]`` float32 metres, 0 in holes, from a 16-bit PNG in millimetres or a raw dump.

    Raises:
        NsrError: the file cannot be read, or is not what it should be.
    """
    if path.suffix.lower() == ".raw":
        return _read_raw(path, np.uint16).astype(np.float32) / np.float32(MILLIMETRES)
    return read_depth_png(path)


def read_infrared(path: Path) -> np.ndarray:
    """``[H, W]`` float32 in [0, 1] over the full range of the file's bits, from a PNG, JPEG or raw dump.

    8-bit values that were stored in 16 bits unscaled, as some cameras' tools do, are known by their maximum.

    Raises:
        NsrError: the file cannot be read.
    """
    pixels = _read_raw(path, np.uint8) if path.suffix.lower() == ".raw" else read_pixels(path)
    if pixels.ndim == 3:
        pixels = pixels[..., :3].mean(-1).astype(pixels.dtype)
    full = 255 if pixels.dtype == np.uint8 or pixels.max() <= 255 else np.iinfo(np.uint16).max
    return pixels.astype(np.float32) / np.float32(full)


def is_infrared(path: Path) -> bool:
    """Whether a raw dump is of the infrared stream, by its name."""
    return _INFRARED in path.name.lower()


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
