"""Real pictures with a reference for their normals: one object under known lights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.common.photometric import LitPictures, photometric_normals
from nsr.priors.networks.intrinsic_decomposition.photographs import photograph

_MARGIN = 0.1  # about the object, of its size
_BRIGHT, _BRIGHT_SHARE = 0.9, 0.98  # the exposure sets this share of the object's values below this brightness


class PhotometricStereo(Dataset):
    """One sample a light: ``image`` (cut to the object), ``mask``, and ``normal`` by photometric stereo of all.

    Args:
        folder: one of ``LitPictures``.
        short_side: that the pictures are scaled down to; 0 leaves them.
        first: only so many.

    Raises:
        NsrError: files are missing or do not agree, or the mask is empty.
    """

    def __init__(self, folder: Path, short_side: int = 0, first: int | None = None):
        lit = LitPictures(folder)
        self.lights = lit.lights
        mask = lit.mask()
        rows, columns = np.nonzero(mask)
        if not len(rows):
            raise NsrError(f"{lit.mask_file}: is empty; nothing is left to look at")
        margin = int(_MARGIN * max(np.ptp(rows), np.ptp(columns))) + 1
        frame = tuple(slice(max(at.min() - margin, 0), at.max() + margin + 1) for at in (rows, columns))
        inside = mask[frame][None] * np.float32(255)
        pictures = [picture[frame].transpose(2, 0, 1).astype(np.float32) for picture in lit.pictures()]
        samples = [photograph(picture, inside, short_side) for picture in pictures]
        brightness = np.stack([sample["image"].mean(0).double().numpy() for sample in samples])
        normal = torch.from_numpy(photometric_normals(brightness, lit.lights)[0]).permute(2, 0, 1).float()
        self.scenes = [folder.name] * len(samples[:first])
        self.samples = [
            {
                "image": _exposed(sample["image"], sample["mask"]),
                "mask": sample["mask"],
                "normal": normal * sample["mask"],
                "name": f"{lit.name}.{index}",
                "scene": folder.name,
            }
            for index, sample in enumerate(samples[:first])
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        return self.samples[index]


def _exposed(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """``image`` brightened so that the bright end of the object is bright, as the networks' pictures are."""
    bright = torch.quantile(image[:, mask[0] > 0], _BRIGHT_SHARE)
    return (image * (_BRIGHT / bright.clamp_min(1e-3))).clamp(0, 1)
