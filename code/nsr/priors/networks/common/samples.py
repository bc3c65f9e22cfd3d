"""Samples, and datasets of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.utils.data import Dataset

from nsr.errors import NsrError

# One frame: named float32 maps [C, H, W] of one size, among them "mask" [1, H, W] (1: valid, 0: not), and the strings
# "name" and "scene".  Depth is z in metres, normals are unit vectors in the camera's frame (OpenCV axes: x right,
# y down, z forward), images lie in [0, 1].
Sample = dict[str, "torch.Tensor | str"]


class SampleDataset(Protocol):
    """A torch ``Dataset`` of samples that knows which scene each is of."""

    scenes: list[str]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class InMemory(Dataset):
    """Another dataset, read or made once; the samples are the same."""

    def __init__(self, dataset: SampleDataset):
        self.scenes = list(dataset.scenes)
        self.samples = [dataset[index] for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class Subset(Dataset):
    """Some samples of a dataset, in the order given."""

    def __init__(self, dataset: SampleDataset, indices: Sequence[int]):
        self.dataset, self.indices = dataset, list(indices)
        self.scenes = [dataset.scenes[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[self.indices[index]]


def check_sample(sample: Sample) -> Sample:
    """The sample itself, once it is known to be one that can be learnt from.

    Raises:
        NsrError: maps of different sizes, a value that is not finite, or nothing valid.
    """
    where = f"{sample['scene']}/{sample['name']}"
    mask = sample["mask"]
    for name, values in sample.items():
        if not isinstance(values, torch.Tensor):
            continue
        if values.shape[-2:] != mask.shape[-2:]:
            raise NsrError(
                f"{where}: {name} is {_size(values)} but its mask is {_size(mask)} (width x height); every map of a "
                "frame must have the same size"
            )
        if not torch.isfinite(values).all():
            raise NsrError(
                f"{where}: {name} holds values that are not finite; write 0 there and leave them out of the mask"
            )
    if not mask.any():
        raise NsrError(f"{where}: the mask leaves nothing valid; take the frame out, or check how its mask is made")
    return sample


def as_batch(sample: Sample, device: torch.device | str = "cpu") -> Sample:
    """One sample as a batch of one, on a device."""
    return {
        name: values[None].to(device) if isinstance(values, torch.Tensor) else [values]
        for name, values in sample.items()
    }


def to_device(batch: Sample, device: torch.device | str) -> Sample:
    """A batch with its tensors on a device."""
    return {name: values.to(device) if isinstance(values, torch.Tensor) else values for name, values in batch.items()}


def _size(values: torch.Tensor) -> str:
    return f"{values.shape[-1]}x{values.shape[-2]}"
