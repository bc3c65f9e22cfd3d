"""Portable float maps (PFM), the format of DTU's ``Depths_raw`` and of Middlebury's disparities."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.errors import SceneError


def read_pfm(path: str | Path) -> np.ndarray:
    """Read a one-channel PFM.

    Returns:
        ``[H, W]`` float32, first row on top, in the file's unit; values as stored, not finite ones included.

    Raises:
        SceneError: the file is missing, no PFM, of three channels, or shorter than its header says.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror or error}") from error
    lines = content.split(b"\n", 3)
    try:
        kind, size, scale, values = lines
        width, height = (int(number) for number in size.split())
        byte_order = "<" if float(scale) < 0 else ">"
    except ValueError:
        raise SceneError(f"{path}: is no PFM file (three lines 'Pf', 'WIDTH HEIGHT', SCALE, then the values)") from None
    if kind.strip() != b"Pf":
        raise SceneError(f"{path}: is no one-channel PFM file: it begins with {kind[:8]!r}, not b'Pf'")
    if width < 1 or height < 1 or len(values) != 4 * width * height:
        raise SceneError(
            f"{path}: holds {len(values)} bytes after the header, {width} x {height} floats need {4 * width * height}"
        )
    # rows are stored from the lowest up
    return np.frombuffer(values, f"{byte_order}f4").reshape(height, width)[::-1].astype(np.float32)


def write_pfm(path: str | Path, values: np.ndarray) -> None:
    """Write ``[H, W]`` as a little-endian one-channel PFM, whole or not at all."""
    height, width = values.shape
    with whole_file(path) as partial:
        partial.write_bytes(f"Pf\n{width} {height}\n-1.0\n".encode() + values[::-1].astype("<f4").tobytes())
