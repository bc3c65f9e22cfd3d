"""Which of another program's files belongs to which view, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from nsr.errors import PriorError


def match_files(folder: Path, suffixes: Sequence[str], ending: str, views: Sequence[str]) -> dict[str, Path]:
    """The file of each view: by name where any file has a view's, else by sorted order.

    Args:
        folder: of the files; suffixes: theirs, as in ``.png``.
        ending: of their names, before the suffix, that views' names do not have (``_depth``); may be empty.
        views: names of the scene's views; their own ending ``_rgb`` does not count.

    Raises:
        PriorError: there is no such folder or file, or no name fits and their number is not that of the views.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PriorError(f"{folder}: there is no such folder")
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and path.stem.endswith(ending) and not path.name.startswith(".")
    )
    wanted = f"*{ending}{'|'.join(suffixes)}"
    if not files:
        raise PriorError(f"{folder}: there are no files {wanted} in it")
    by_name = {path.stem.removesuffix(ending): path for path in files}
    plain = {view: view.removesuffix("_rgb") for view in views}
    found = {view: by_name[name] for view, name in plain.items() if name in by_name}
    if found:
        return found
    if len(files) != len(views):
        raise PriorError(
            f"{folder}: no file {wanted} has the name of a view (the first view is {views[0]}, the first file "
            f"{files[0].name}), and {len(files)} files cannot be paired with {len(views)} views in order"
        )
    return dict(zip(views, files, strict=True))


def read_png(path: Path) -> np.ndarray:
    """A PNG as it is, 8 or 16 bits, grey ``[H, W]`` or RGB ``[H, W, 3]`` (an alpha channel is dropped).

    Raises:
        PriorError: it cannot be read.
    """
    # Pillow cuts 16-bit colours to 8 bits.
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise PriorError(f"{path}: cannot be read as a picture")
    return picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., 2::-1])


def read_npy(path: Path) -> np.ndarray:
    """An array of numbers, as float32.

    Raises:
        PriorError: it cannot be read, or holds something else.
    """
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PriorError(f"{path}: cannot be read as an npy file ({error})") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise PriorError(f"{path}: does not hold an array of numbers")
    return values.astype(np.float32)
