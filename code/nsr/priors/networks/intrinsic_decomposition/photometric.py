"""Photometric stereo: normals of one object from pictures under known lights (Woodham 1980), to compare with.

A folder holds ``lights.txt`` (their number, then a direction a line: x right, y up, z towards the viewer),
``<name>.<i>.png`` under light i and ``<name>.mask.png``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.faces import read_levels
from nsr.priors.networks.intrinsic_decomposition.illumination import change_frame
from nsr.priors.networks.intrinsic_decomposition.photographs import photograph
from nsr.scenes.pictures import read_mask

LIGHTS = "lights.txt"
_REAL = "photometric/cat"
_TRIMMED = (0.25, 0.1)  # of a pixel's brightnesses, darkest and brightest: shadows and highlights


def real_folder() -> Path:
    """The photographs below the environment variable ``NSR_DATA``.

    Raises:
        NsrError: it is not set, or they are not there.
    """
    root = os.environ.get("NSR_DATA")
    if not root:
        raise NsrError(f"--data real needs the environment variable NSR_DATA: a folder that holds {_REAL}/")
    folder = Path(root) / _REAL
    if not folder.is_dir():
        raise NsrError(f"{folder}: there is no such folder; --data real reads it")
    return folder


def photometric_normals(intensities: np.ndarray, lights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals and albedo of matt pixels, by least squares over those lights that are neither shadow nor highlight.

    Args:
        intensities: ``[N, P]`` linear brightness under N lights; lights: ``[N, 3]`` unit directions to them.

    Returns:
        normals ``[3, P]`` unit, in the lights' axes, and albedo ``[P]``.
    """
    rank = intensities.argsort(0).argsort(0)
    count = len(lights)
    kept = (rank >= int(_TRIMMED[0] * count)) & (rank < count - int(_TRIMMED[1] * count))
    system = np.einsum("np,ni,nj->pij", kept, lights, lights)
    right = np.einsum("np,ni,np->pi", kept, lights, intensities)
    scaled_normals = np.linalg.solve(system + 1e-9 * np.eye(3), right[..., None])[..., 0].T
    albedo = np.linalg.norm(scaled_normals, axis=0)
    return scaled_normals / np.maximum(albedo, 1e-12), albedo


class PhotometricStereo(Dataset):
    """One sample a light: ``image`` (cut to the object), ``mask``, and ``normal`` by photometric stereo of all.

    Args:
        short_side: that the pictures are scaled down to; 0 leaves them.
        first: only so many.

    Raises:
        NsrError: files are missing or do not agree.
    """

    def __init__(self, folder: Path, short_side: int = 0, first: int | None = None):
        self.folder = folder
        numbers = np.array((folder / LIGHTS).read_text().split(), dtype=float)
        if len(numbers) < 10 or len(numbers) != 1 + 3 * int(numbers[0]):
            raise NsrError(f"{folder / LIGHTS}: must hold a number of lights, three or more, and as many directions")
        self.lights = numbers[1:].reshape(-1, 3)
        masks = sorted(folder.glob("*.mask.png"))
        if len(masks) != 1:
            raise NsrError(f"{folder}: holds {len(masks)} files *.mask.png; exactly one is needed")
        self.name = masks[0].name.removesuffix(".mask.png")
        inside = read_mask(masks[0])[None] * np.float32(255)
        rows, columns = np.nonzero(inside[0] > 127)
        if not len(rows):
            raise NsrError(f"{masks[0]}: is empty; nothing is left to look at")
        margin = max(int(0.1 * max(np.ptp(rows), np.ptp(columns))), 1)
        frame = (
            slice(None),
            slice(max(rows.min() - margin, 0), rows.max() + margin + 1),
            slice(max(columns.min() - margin, 0), columns.max() + margin + 1),
        )
        self.samples = []
        for index in range(len(self.lights)):
            path = folder / f"{self.name}.{index}.png"
            image = read_levels(path)
            if image.shape[1:] != inside.shape[1:]:
                raise NsrError(f"{path}: has not the size of {masks[0].name}; they must agree")
            self.samples.append(photograph(image[frame], inside[frame], short_side))
        normal = self._normals()
        self.samples = self.samples[:first]
        self.scenes = [folder.name] * len(self.samples)
        for index, sample in enumerate(self.samples):
            exposure = 0.9 / torch.quantile(sample["image"][:, sample["mask"][0] > 0], 0.98).clamp_min(1e-3)
            sample["image"] = (sample["image"] * exposure).clamp(0, 1)
            sample["normal"] = normal
            sample |= {"name": f"{self.name}.{index}", "scene": folder.name}

    @staticmethod
    def is_one(folder: Path) -> bool:
        return (folder / LIGHTS).is_file()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        return self.samples[index]

    def _normals(self) -> torch.Tensor:
        mask = self.samples[0]["mask"][0] > 0
        intensities = np.stack([sample["image"].mean(0)[mask].numpy() for sample in self.samples])
        inside, _ = photometric_normals(intensities.astype(np.float64), self.lights)
        normal = torch.zeros(3, *mask.shape)
        normal[:, mask] = change_frame(torch.from_numpy(inside).float(), dim=0)
        return normal
