"""Pictures without ground truth: any folder of photographs, with masks where there are."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.faces import read_levels
from nsr.scenes.pictures import list_pictures

MASKS = "mask"


def scaled(values: np.ndarray, short_side: int) -> np.ndarray:
    """``[C, H, W]``, its short side scaled down to ``short_side`` (pixel areas); 0, or smaller already: as it is."""
    height, width = values.shape[1:]
    factor = short_side / min(height, width)
    if not short_side or factor >= 1:
        return values
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return np.atleast_3d(cv2.resize(values.transpose(1, 2, 0), size, interpolation=cv2.INTER_AREA)).transpose(2, 0, 1)


class PhotographFolder(Dataset):
    """The pictures of a folder, sorted: samples with ``image`` and ``mask`` alone.

    A mask of the same name in ``mask/`` beside them (white where the object is) makes what is outside black; without,
    every pixel counts.

    Args:
        short_side: that pictures are scaled down to; 0 leaves them.
        first: only so many.
    """

    def __init__(self, folder: Path, short_side: int = 0, first: int | None = None):
        self.paths = list_pictures(folder)[:first]
        self.short_side = short_side
        self.scenes = [folder.name] * len(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        path = self.paths[index]
        image = read_levels(path)
        mask = np.full_like(image[:1], 255)
        mask_path = path.parent / MASKS / f"{path.stem}.png"
        if mask_path.is_file():
            mask = read_levels(mask_path)[:1]
            if mask.shape[1:] != image.shape[1:]:
                raise NsrError(
                    f"{mask_path}: is {mask.shape[2]}x{mask.shape[1]}, but its picture is "
                    f"{image.shape[2]}x{image.shape[1]}; they must agree"
                )
            if not (mask > 127).any():
                raise NsrError(f"{mask_path}: is empty; nothing is left to look at")
        return photograph(image, mask, self.short_side) | {"name": path.stem, "scene": self.scenes[index]}


def photograph(image: np.ndarray, mask: np.ndarray, short_side: int) -> dict[str, torch.Tensor]:
    """``image`` ``[3, H, W]`` and ``mask`` ``[1, H, W]``, both in [0, 255] -> scaled, in [0, 1], black outside."""
    inside = scaled(mask, short_side) > 127
    picture = np.where(inside, scaled(image, short_side) / 255, 0.0)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(picture, dtype=np.float32)),
        "mask": torch.from_numpy(np.ascontiguousarray(inside, dtype=np.float32)),
    }
