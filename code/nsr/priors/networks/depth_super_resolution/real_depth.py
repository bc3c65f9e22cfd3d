"""Real depth maps to test on, below the folder that NSR_DATA names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import SceneError
from nsr.priors.networks.common.real_data import real_folder
from nsr.priors.networks.common.samples import Sample, check_sample
from nsr.priors.networks.depth_super_resolution.depth_files import DepthFiles, find_depth_files

# The Middlebury 2014 pair "motorcycle" as scikit-image documents it
_MOTORCYCLE_FOCAL = 994.978  # pixels
_MOTORCYCLE_BASELINE = 0.193001  # metres
_MOTORCYCLE_OFFSET = 31.086  # pixels: of the principal points


class RealDepth(Dataset):
    """``depth/motorcycle/motorcycle_disp.npz`` (disparity) and ``depth/livingroom/depth/*.png`` (16-bit millimetres).

    Args:
        count: of maps at most; the motorcycle is the first.

    Raises:
        NsrError: NSR_DATA is not set, or either is missing.
    """

    def __init__(self, count: int):
        self.disparity = real_folder("depth/motorcycle") / "motorcycle_disp.npz"
        if not self.disparity.is_file():
            raise SceneError(f"{self.disparity}: is not there")
        files = find_depth_files(real_folder("depth/livingroom/depth"))
        self.rooms = DepthFiles(files[: max(count - 1, 0)])
        self.scenes = ["motorcycle", *("livingroom" for _ in self.rooms.files)][:count]

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        if index > 0:
            return {**self.rooms[index - 1], "scene": "livingroom"}
        depth, mask = _depth_from_disparity(self.disparity)
        return check_sample({"depth": depth, "mask": mask, "name": "motorcycle", "scene": "motorcycle"})


def _depth_from_disparity(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    with np.load(path) as archive:
        disparity = torch.from_numpy(archive[archive.files[0]].astype(np.float32))[None]
    mask = torch.isfinite(disparity) & (disparity > 0)
    depth = _MOTORCYCLE_FOCAL * _MOTORCYCLE_BASELINE / (disparity + _MOTORCYCLE_OFFSET)
    return torch.where(mask, depth, torch.zeros_like(depth)), mask.float()
