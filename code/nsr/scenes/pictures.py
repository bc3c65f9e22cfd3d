"""Pictures and masks on disk: listed, read, written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from nsr.errors import SceneError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
MASK_THRESHOLD = 127.5  # of 255, IDR's


def list_pictures(folder: str | Path) -> list[Path]:
    """PNG and JPEG files of a folder, sorted by name as IDR sorts them ("10.png" comes before "2.png").

    Raises:
        SceneError: there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SceneError(f"{folder}: there is no such folder; a scene has image/, mask/ and cameras.npz")
    files = sorted(
        path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.name[0] != "."
    )
    if not files:
        raise SceneError(f"{folder}: there are no pictures in it (png or jpg)")
    return files


def read_picture(path: str | Path) -> np.ndarray:
    """Read a picture as ``[H, W, 3]`` uint8 RGB.

    Grey, palette, CMYK and 16-bit files are converted and an alpha channel is dropped.  Orientation tags are not
    applied: camera matrices belong to the pixels as they are stored.

    Raises:
        SceneError: the file cannot be read.
    """
    return _read(path, "RGB")


def read_mask(path: str | Path) -> np.ndarray:
    """Read a mask as ``[H, W]`` bool: True where its grey value is above 127.5.

    Raises:
        SceneError: the file cannot be read.
    """
    return _read(path, "L") > MASK_THRESHOLD


def picture_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture.

    Raises:
        SceneError: the file cannot be read.
    """
    with _opened(path) as picture:
        return picture.height, picture.width


def read_alpha(path: str | Path) -> np.ndarray | None:
    """The ``[H, W]`` uint8 alpha channel of a picture that has one, else None.

    Raises:
        SceneError: the file cannot be read.
    """
    with _opened(path) as picture:
        return np.array(picture.getchannel("A")) if "A" in picture.getbands() else None


def as_uint8(picture: np.ndarray) -> np.ndarray:
    """[0, 1] to 0..255, rounded."""
    return (picture.clip(0, 1) * 255).round().astype(np.uint8)


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write ``[H, W, 3]`` uint8 RGB or ``[H, W]`` bool (0 and 255) in the format of the path's suffix."""
    picture = np.asarray(picture)
    if picture.dtype == bool:
        picture = picture.astype(np.uint8) * 255
    options = {"quality": 95, "subsampling": 0} if Path(path).suffix.lower() in (".jpg", ".jpeg") else {}
    Image.fromarray(picture).save(path, **options)


class _opened:
    """A loaded Pillow image; whatever Pillow finds wrong with a file becomes one ``SceneError``."""

    def __init__(self, path: str | Path):
        try:
            with Image.open(path) as picture:
                picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = "not a picture, or damaged" if isinstance(error, Image.UnidentifiedImageError) else error
            raise SceneError(f"{path}: cannot be read ({reason})") from error
        self.picture = picture

    def __enter__(self) -> Image.Image:
        return self.picture

    def __exit__(self, *_) -> None:
        self.picture.close()


def _read(path: str | Path, mode: str) -> np.ndarray:
    with _opened(path) as picture:
        if not picture.mode.startswith("I"):
            return np.array(picture.convert(mode))
        sixteen_bit = np.asarray(picture).astype(np.uint32)  # Pillow's own conversion clips at 255
    grey = ((sixteen_bit + 128) // 257).astype(np.uint8)
    return grey if mode == "L" else np.repeat(grey[..., None], 3, axis=-1)
