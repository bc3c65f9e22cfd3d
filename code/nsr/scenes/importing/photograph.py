"""A photograph's file: its size, the way it was held, its colours and its alpha."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.importing.source import SourceView
from nsr.scenes.pictures import read_alpha, read_picture
from nsr.scenes.resize import resize_intrinsics

ORIENTATION_TAG = 274  # EXIF
SAME_SHAPE = 0.01  # relative difference of aspect ratios below which a picture is a smaller copy of another

# EXIF orientation: what makes the stored pixels upright.
_UPRIGHT = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}

logger = logging.getLogger("nsr")


def header(path: Path) -> tuple[tuple[int, int], int]:
    """Stored height and width, and the EXIF orientation (1: stored upright), without decoding the pixels.

    Raises:
        SceneError: not a picture.
    """
    try:
        with Image.open(path) as picture:
            return (picture.height, picture.width), int(picture.getexif().get(ORIENTATION_TAG, 1))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = "not a picture, or damaged" if isinstance(error, Image.UnidentifiedImageError) else error
        raise SceneError(f"{path}: cannot be read ({reason})") from error


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels ``[H, W, ...]`` as their EXIF orientation (1 to 8) says."""
    return np.ascontiguousarray(_UPRIGHT[orientation](pixels)) if orientation in _UPRIGHT else pixels


def fit_camera(view: SourceView) -> tuple[np.ndarray, tuple[int, int], int]:
    """Make a view's camera and its file agree.

    A camera belongs to the pixels as they are stored, unless only the upright picture has the size that it is for.
    A picture of the same shape but another size is a smaller (or larger) copy, to which the intrinsics are scaled.

    Returns:
        intrinsics ``[3, 3]``, height and width of the pixels to be used, and the EXIF orientation to turn them by.

    Raises:
        SceneError: the picture has neither the size nor the shape that its camera is for.
    """
    stored, orientation = header(view.image)
    turned = stored[::-1] if orientation >= 5 else stored
    if view.orientation is not None:
        return view.intrinsics, turned if view.orientation >= 5 else stored, view.orientation
    if view.size is None or view.size == stored:
        if orientation != 1 and turned == stored:
            logger.warning(
                f"{view.image}: its EXIF tag says that it was held another way (orientation {orientation}); the camera "
                "is taken to belong to the pixels as they are stored"
            )
        return view.intrinsics, stored, 1
    for size, turn in ((stored, 1), (turned, orientation)):
        if abs(size[0] * view.size[1] / (size[1] * view.size[0]) - 1) < SAME_SHAPE:
            return resize_intrinsics(view.intrinsics, view.size, size), size, turn
    raise SceneError(
        f"{view.image}: the photograph is {stored[1]}x{stored[0]} but its camera is for {view.size[1]}x{view.size[0]} "
        "(width x height); it was cropped, or belongs to another camera"
    )


def read_photograph(path: Path, orientation: int = 1) -> np.ndarray:
    """``[H, W, 3]`` uint8 RGB, turned by ``orientation``; grey and 16-bit files are converted.

    Raises:
        SceneError: the file cannot be read.
    """
    return upright(read_picture(path), orientation)


def read_photograph_alpha(path: Path, orientation: int = 1) -> np.ndarray | None:
    """``[H, W]`` uint8 alpha, turned by ``orientation``; None where there is none, or it is the same everywhere."""
    alpha = read_alpha(path)
    return None if alpha is None or alpha.min() == alpha.max() else upright(alpha, orientation)
