"""Folders in the layout of the published data set.

``gt/NNNNN.bmp`` (true depth, where there is one) and ``low/NNNNN.bmp`` hold packed depth in metres (see
``depth_files``), ``shade/NNNNN.png`` and ``proj/NNNNN.png`` the photographs under the lamp and under the projector,
``mask/NNNNN.png``, where it exists, what is valid besides.  Numbers below 500 are for training, from 500 on for tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample, check_sample
from nsr.priors.networks.shape_from_shading.depth_files import read_packed_depth, read_png_depth, write_packed_depth
from nsr.scenes.pictures import read_mask, read_picture, write_picture

FIRST_TEST = 500
NEAREST = 0.1  # metres: what is nearer is no depth
MAPS = {"shading": "shade", "pattern": "proj"}


class ReliefFolder(Dataset):
    """The samples of a folder, in the order of their numbers.

    A pixel is valid where both depths lie beyond 0.1 m and the shading is above 0.

    Args:
        folder: the layout's root.
        numbers: of the samples to take; None takes all.
        inputs: what is needed besides the low-resolution depth: ``shading``, ``pattern``.
        need_depth: whether a sample without ``gt`` is refused.

    Raises:
        NsrError: the folder holds no sample, or one of them lacks a file.
    """

    def __init__(
        self,
        folder: str | Path,
        numbers: list[int] | None = None,
        inputs: tuple[str, ...] = ("shading", "pattern"),
        need_depth: bool = True,
    ):
        self.folder = Path(folder)
        self.numbers = sample_numbers(self.folder) if numbers is None else numbers
        self.inputs, self.need_depth = [name for name in MAPS if name in inputs], need_depth
        self.scenes = [f"{self.folder.name}-{number:05d}" for number in self.numbers]
        for number in self.numbers:
            for path in self._needed(number):
                if not path.is_file():
                    raise NsrError(f"{path}: sample {number} lacks this file; give it, or take out low/{number:05d}.*")

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Sample:
        number = self.numbers[index]
        maps = {"low": _read_depth(self._file("low", number))}
        if self._file("gt", number).is_file():
            maps["depth"] = _read_depth(self._file("gt", number))
        for name in self.inputs:
            maps[name] = read_picture(self._file(MAPS[name], number)).mean(axis=-1) / 255
        if len({values.shape for values in maps.values()}) > 1:
            told = ", ".join(f"{name} {_size(values)}" for name, values in maps.items())
            raise NsrError(f"{self.folder}: the files of sample {number} differ in size: {told}")
        mask = np.logical_and.reduce([maps[name] > NEAREST for name in ("low", "depth") if name in maps])
        if "shading" in maps:
            mask &= maps["shading"] > 0
        own = self.folder / "mask" / f"{number:05d}.png"
        if own.is_file():
            outline = read_mask(own)
            if outline.shape != mask.shape:
                raise NsrError(f"{own}: is {_size(outline)}, but the rest of the sample {_size(mask)}")
            mask &= outline
        tensors = {name: torch.from_numpy((values * mask)[None].astype(np.float32)) for name, values in maps.items()}
        tensors["mask"] = torch.from_numpy(mask[None].astype(np.float32))
        return check_sample({**tensors, "name": f"{number:05d}", "scene": self.scenes[index]})

    def _file(self, kind: str, number: int) -> Path:
        if kind in MAPS.values():
            return self.folder / kind / f"{number:05d}.png"
        packed = self.folder / kind / f"{number:05d}.bmp"
        counted = packed.with_suffix(".png")
        return counted if counted.is_file() and not packed.is_file() else packed

    def _needed(self, number: int) -> list[Path]:
        kinds = ["low", *(MAPS[name] for name in self.inputs), *(["gt"] if self.need_depth else [])]
        return [self._file(kind, number) for kind in kinds]


def sample_numbers(folder: str | Path) -> list[int]:
    """The numbers of a folder's samples, ascending: those of ``low/``.

    Raises:
        NsrError: there is none.
    """
    folder = Path(folder)
    depths = [path for path in folder.glob("low/*") if path.suffix in (".bmp", ".png") and path.stem.isdecimal()]
    if not depths:
        raise NsrError(
            f"{folder}: there is no sample in it; a folder holds gt/ and low/ (NNNNN.bmp), shade/ and proj/ (NNNNN.png)"
        )
    return sorted({int(path.stem) for path in depths})


def write_relief_sample(sample: Sample, folder: str | Path) -> None:
    """Add a sample to a folder in the layout, its mask included; maps that it lacks are left out.

    The sample's name is its number.  Each file appears whole or not at all.
    """
    folder, name = Path(folder), sample["name"]
    for kind, key in (("gt", "depth"), ("low", "low")):
        if key in sample:
            write_packed_depth(folder / kind / f"{name}.bmp", sample[key][0].numpy())
    for key, kind in MAPS.items():
        if key in sample:
            grey = (sample[key][0].numpy() * 255).round().astype(np.uint8)
            _write_png(folder / kind / f"{name}.png", np.repeat(grey[..., None], 3, axis=-1))
    _write_png(folder / "mask" / f"{name}.png", sample["mask"][0].numpy() > 0)


def _write_png(path: Path, picture: np.ndarray) -> None:
    with whole_file(path) as partial:
        write_picture(partial, picture)


def _size(values: np.ndarray) -> str:
    return f"{values.shape[1]}x{values.shape[0]}"


def _read_depth(path: Path) -> np.ndarray:
    return read_png_depth(path) if path.suffix == ".png" else read_packed_depth(path)
