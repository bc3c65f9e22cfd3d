"""Object masks from pictures whose background is plain."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.scenes.pictures import list_pictures, read_alpha, read_picture, write_picture


def make_mask(
    grey: np.ndarray,
    threshold: float | None = None,
    invert: bool = False,
    largest_component: bool = True,
    fill_holes: bool = True,
) -> np.ndarray:
    """Separate an object from a plain background by brightness.

    Args:
        grey: ``[H, W]`` uint8.
        threshold: the object is brighter than this fraction of white (0 to 1); None: chosen by Otsu's method
            ("A threshold selection method from gray-level histograms", 1979).
        invert: the object is the darker part.
        largest_component: keep the largest 8-connected region only.
        fill_holes: what the object encloses belongs to it; wrong for objects that one can see through.

    Returns:
        ``[H, W]`` bool, True on the object.
    """
    from scipy import ndimage

    level = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)[0] if threshold is None else threshold * 255
    mask = (grey > level) != invert
    if largest_component:
        count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        if count > 1:  # label 0 is the background
            mask = labels == 1 + np.argmax(statistics[1:, cv2.CC_STAT_AREA])
    return ndimage.binary_fill_holes(mask) if fill_holes else mask


def make_masks(
    image_folder: str | Path,
    mask_folder: str | Path,
    threshold: float | None = None,
    invert: bool = False,
    largest_component: bool = True,
    fill_holes: bool = True,
) -> list[Path]:
    """Make a binary mask for every picture of a folder; options as for ``make_mask``.

    A picture with an alpha channel that varies is separated by its alpha, any other by its grey values.

    Args:
        image_folder: PNG or JPEG pictures.
        mask_folder: gets a PNG of 0 and 255 per picture, of the picture's name; all of them or, after an error, none.

    Returns:
        the masks' paths, in the pictures' order.

    Raises:
        SceneError: a picture cannot be read, a mask of that name is there already, a mask would be empty or full, or
            the folder cannot be written.
    """
    mask_folder = Path(mask_folder)
    names = []
    try:
        with whole_folder(mask_folder) as partial:
            for path in list_pictures(image_folder):
                grey = read_alpha(path)
                if grey is None or grey.min() == grey.max():
                    grey = cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2GRAY)
                mask = make_mask(grey, threshold, invert, largest_component, fill_holes)
                if mask.all() or not mask.any():
                    raise SceneError(
                        f"{path}: the mask would be {'full' if mask.any() else 'empty'}; its grey values go from "
                        f"{grey.min() / 255:.2f} to {grey.max() / 255:.2f}, so choose another threshold, or "
                        "invert, where the object is the darker part"
                    )
                names.append(f"{path.stem}.png")
                write_picture(partial / names[-1], mask)
    except OSError as error:
        raise SceneError(f"{mask_folder}: the masks cannot be written ({error.strerror or error})") from error
    return [mask_folder / name for name in names]
