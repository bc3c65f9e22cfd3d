"""Depth maps of one's own: a folder of PFM, NumPy or 16-bit PNG files, a scene to a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import SceneError
from nsr.priors.networks.common.depth_png import MILLIMETRES, read_depth_png, write_depth_png
from nsr.priors.networks.common.samples import Sample, check_sample
from nsr.priors.networks.depth_super_resolution.pfm import read_pfm, write_pfm

# Of a folder with several kinds the first counts: DTU has pictures beside its maps.
SUFFIXES = (".pfm", ".npy", ".png")
METRES = {"mm": 0.001, "m": 1.0}


class DepthFiles(Dataset):
    """Samples ``depth`` and ``mask`` from files; see ``read_depth``.

    Args:
        files: paths of the maps; the folder of each is its scene, its name without the suffix the sample's.
        unit: of their values, ``mm`` or ``m``.
    """

    def __init__(self, files: list[Path], unit: str = "mm"):
        self.files, self.unit = list(files), unit
        self.scenes = [path.parent.name for path in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        path = self.files[index]
        depth, mask = read_depth(path, self.unit)
        return check_sample({"depth": depth, "mask": mask, "name": path.stem, "scene": self.scenes[index]})


def find_depth_files(folder: str | Path) -> list[Path]:
    """All depth maps at and below a folder, sorted; DTU's ``Depths_raw/scan*/depth_map_*.pfm`` among such layouts.

    Raises:
        SceneError: the folder is missing or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SceneError(f"{folder}: is no folder; name one with depth maps ({', '.join(SUFFIXES)})")
    for suffix in SUFFIXES:
        found = sorted(folder.rglob(f"*{suffix}"))
        if found:
            return found
    raise SceneError(f"{folder}: holds no depth maps ({', '.join(SUFFIXES)})")


def read_depth(path: str | Path, unit: str = "mm") -> tuple[torch.Tensor, torch.Tensor]:
    """Read one map.

    Args:
        unit: of the values of a PFM or NumPy file, ``mm`` or ``m``; those of a PNG are millimetres.

    Returns:
        Depth ``[1, H, W]`` float32 in metres, zero where invalid, and its mask: 1 where the file holds a finite value
        above zero.

    Raises:
        NsrError: the file cannot be read or is of another kind (a PNG of 8 bits, an array that is not ``[H, W]``).
    """
    path = Path(path)
    if path.suffix == ".pfm":
        metres = read_pfm(path) * np.float32(METRES[unit])
    elif path.suffix == ".npy":
        metres = _read_array(path).astype(np.float32) * np.float32(METRES[unit])
    elif path.suffix == ".png":
        metres = read_depth_png(path)
    else:
        raise SceneError(f"{path}: is no depth map ({', '.join(SUFFIXES)})")
    depth = torch.from_numpy(metres)[None]
    mask = torch.isfinite(depth) & (depth > 0)
    return torch.where(mask, depth, torch.zeros_like(depth)), mask.float()


def write_depth(path: str | Path, depth: torch.Tensor, mask: torch.Tensor) -> None:
    """Write ``[1, H, W]`` metres as a ``.pfm`` or a 16-bit ``.png`` in millimetres, 0 where the mask is.

    Raises:
        NsrError: a PNG cannot hold the depth.
    """
    path, metres = Path(path), (depth * (mask > 0))[0].numpy()
    if path.suffix == ".pfm":
        write_pfm(path, metres * np.float32(MILLIMETRES))
    else:
        write_depth_png(path, metres)


def _read_array(path: Path) -> np.ndarray:
    try:
        values = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise SceneError(f"{path}: cannot be read: {error}") from error
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise SceneError(f"{path}: is an array {list(values.shape)} of {values.dtype}; a depth map is [H, W] numbers")
    return values
