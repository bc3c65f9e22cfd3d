"""What the network is shown: the measured maps, freed of what a rig cannot know and scaled by fixed constants.

Everything here is known at test time; no ground truth is read.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample, SampleDataset
from nsr.priors.networks.shape_from_shading.rig import Rig, blurred

INPUTS = ("shading", "pattern", "low")
LOCAL = 24.0  # pixels: standard deviation of the window over which the brightness is made even
FLOOR = 0.05  # of a photograph's mean brightness, about its noise, so that the logarithm of black is bounded
FACING = 0.8  # n . l of a surface that faces the camera, about that of the rig
LARGEST = 4.0  # of what the network is shown
CONTRAST = {"shading": 0.25, "pattern": 0.5, "low": 0.25}  # of those logarithms, roughly
MILLIMETRES = 1000.0


def encode(sample: Sample, rig: Rig, inputs: tuple[str, ...] = INPUTS) -> torch.Tensor:
    """A sample's maps as the network takes them: ``[len(inputs), H, W]`` float32, 0 where invalid.

    * Photographs: the logarithm of the brightness about its mean nearby (Gaussian, over valid pixels), which leaves
      out gain, exposure and slow changes of albedo and light; over a constant.
    * Low-resolution depth: the logarithm of the shading that it would have by itself under the rig's lamp, on the
      photograph's scale: what in the photograph is known already, and how much a slope there changes it.

    A pattern that the sample lacks is 0 everywhere.

    Raises:
        NsrError: the sample lacks shading or low-resolution depth.
    """
    mask = sample["mask"][0].cpu().numpy() > 0
    maps = []
    for name in inputs:
        if name not in sample and name != "pattern":
            raise NsrError(f"{sample['scene']}/{sample['name']}: there is no {name}, which this network is shown")
        if name not in sample:
            maps.append(np.zeros(mask.shape))
            continue
        values = sample[name][0].cpu().numpy()
        shown = _own_shading(rig, values, mask) if name == "low" else _local_contrast(values, mask)
        maps.append(shown / CONTRAST[name])
    return torch.from_numpy(np.stack(maps).clip(-LARGEST, LARGEST).astype(np.float32))


class Encoded(Dataset):
    """A dataset's samples with two more maps: ``inputs`` (see ``encode``), and ``residual`` where ``depth`` is known.

    The residual is depth minus low-resolution depth in millimetres, 0 where invalid.
    """

    def __init__(self, dataset: SampleDataset, rig: Rig, inputs: tuple[str, ...] = INPUTS):
        self.dataset, self.rig, self.inputs = dataset, rig, inputs
        self.scenes = list(dataset.scenes)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = self.dataset[index]
        encoded = {**sample, "inputs": encode(sample, self.rig, self.inputs)}
        if "depth" in sample:
            encoded["residual"] = (sample["depth"] - sample["low"]) * sample["mask"] * MILLIMETRES
        return encoded


def _local_contrast(brightness: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Logarithm of the brightness minus its mean nearby; 0 where invalid."""
    mean = brightness[mask].mean() if mask.any() else 1.0
    values = np.log(brightness / max(mean, 1e-6) + FLOOR)
    return (values - blurred(values, LOCAL, mask)) * mask


def _own_shading(rig: Rig, depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Logarithm of n . l of a depth map under the rig's lamp, over ``FACING``; 0 where invalid."""
    filled = np.where(mask, depth, depth[mask].mean() if mask.any() else 1.0)
    towards = np.array(rig.lamp) - rig.points(filled)
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    facing = np.maximum((rig.normals(filled) * towards).sum(-1), 0)
    return (np.log(facing + FLOOR) - np.log(FACING)) * mask
