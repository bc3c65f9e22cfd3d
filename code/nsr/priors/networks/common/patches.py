"""Patches of frames to train on, and tiles of frames at inference."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import pad
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample, SampleDataset


def window_starts(length: int, size: int, stride: int) -> list[int]:
    """Where windows along one axis begin: every ``stride`` pixels, and the last one flush with the end.

    Raises:
        NsrError: the axis is shorter than a window.
    """
    if length < size:
        raise NsrError(f"a patch of {size} pixels does not fit into {length}; give a smaller --patch or larger frames")
    starts = list(range(0, length - size + 1, stride))
    return starts if starts[-1] + size == length else [*starts, length - size]


def windows(height: int, width: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Top and left of square windows that together cover a frame, row by row.

    Raises:
        NsrError: the frame is smaller than a window, or the stride leaves gaps.
    """
    if not 1 <= stride <= size:
        raise NsrError(f"--stride {stride} leaves gaps between patches of {size} pixels; give 1 to {size}")
    return [(top, left) for top in window_starts(height, size, stride) for left in window_starts(width, size, stride)]


class PatchDataset(Dataset):
    """Square patches of the samples of a dataset, those that are mostly invalid left out.

    Args:
        dataset: frames; each is looked at once here, for its mask.
        size, stride: of the patches, pixels.
        minimum_valid: the part of a patch that its mask must exceed.
        multiple: of what the network needs the size to be.

    Raises:
        NsrError: the size is not such a multiple, a frame is smaller than a patch, or no patch is valid enough.
    """

    def __init__(self, dataset: SampleDataset, size: int, stride: int, minimum_valid: float = 0.1, multiple: int = 1):
        if size % multiple:
            raise NsrError(
                f"--patch {size} cannot be halved as often as the network does; give a multiple of {multiple}"
            )
        self.dataset, self.size = dataset, size
        self.places: list[tuple[int, int, int]] = []
        for index in range(len(dataset)):
            mask = dataset[index]["mask"]
            for top, left in windows(*mask.shape[-2:], size, stride):
                if mask[:, top : top + size, left : left + size].mean() > minimum_valid:
                    self.places.append((index, top, left))
        if not self.places:
            raise NsrError(
                f"none of the {len(dataset)} frames has a patch of {size} pixels that is valid to more than "
                f"{minimum_valid:.0%}; check the masks, or give a smaller --patch"
            )
        self.scenes = [dataset.scenes[index] for index, _, _ in self.places]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        frame, top, left = self.places[index]
        area = slice(top, top + self.size), slice(left, left + self.size)
        sample = self.dataset[frame]
        return {
            name: values[(..., *area)] if isinstance(values, torch.Tensor) else values
            for name, values in sample.items()
        }


def apply_in_tiles(
    function: Callable[[torch.Tensor], torch.Tensor],
    maps: torch.Tensor,
    size: int = 0,
    overlap: int = 0,
    multiple: int = 1,
    scale: int = 1,
) -> torch.Tensor:
    """Apply a network to a frame of any size, in overlapping tiles that are blended.

    The frame is padded by reflection until tiles of the network's multiple cover it.  Across an overlap the weight of a
    tile falls linearly, and weights are normalised, so that a function that gives its input back gives the frame
    back, edges included.

    Args:
        function: ``[N, C, h, w]`` to ``[N, K, scale * h, scale * w]``; h and w are multiples of ``multiple``.
        maps: ``[C, H, W]``.
        size: of a tile, pixels, rounded up to the multiple; 0 takes the frame whole.
        overlap: of neighbouring tiles, pixels.

    Returns:
        ``[K, scale * H, scale * W]``.

    Raises:
        NsrError: the overlap is not smaller than the tile.
    """
    height, width = maps.shape[-2:]
    tile_height, tile_width = (_round_up(min(size, length) if size else length, multiple) for length in (height, width))
    if size and not 0 <= overlap < size:
        raise NsrError(f"tiles of {size} pixels cannot overlap by {overlap}; give 0 to {size - 1}")
    padded = _reflect(maps, max(tile_height, height), max(tile_width, width))
    result, weights = None, None
    for top in window_starts(padded.shape[-2], tile_height, max(tile_height - overlap, 1)):
        for left in window_starts(padded.shape[-1], tile_width, max(tile_width - overlap, 1)):
            tile = padded[None, :, top : top + tile_height, left : left + tile_width]
            part = function(tile)[0]
            if result is None:
                shape = tuple(scale * length for length in padded.shape[-2:])
                result, weights = part.new_zeros(part.shape[0], *shape), part.new_zeros(shape)
                weight = _fall_off(scale * tile_height, scale * overlap, part)[:, None] * _fall_off(
                    scale * tile_width, scale * overlap, part
                )
            area = slice(scale * top, scale * (top + tile_height)), slice(scale * left, scale * (left + tile_width))
            result[(..., *area)] += part * weight
            weights[area] += weight
    return (result / weights)[:, : scale * height, : scale * width]


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _reflect(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Pad to a size at the right and below; more than once where the frame is too small for one reflection."""
    while (missing := (height - maps.shape[-2], width - maps.shape[-1])) != (0, 0):
        below, right = (min(want, max(have - 1, 0)) for want, have in zip(missing, maps.shape[-2:], strict=True))
        if below or right:
            maps = pad(maps[None], (0, right, 0, below), mode="reflect")[0]
        if min(maps.shape[-2:]) == 1:  # nothing to reflect: repeat
            maps = pad(maps[None], (0, width - maps.shape[-1], 0, height - maps.shape[-2]), mode="replicate")[0]
    return maps


def _fall_off(length: int, overlap: int, like: torch.Tensor) -> torch.Tensor:
    """``[length]`` weights: 1 inside, falling towards both ends over the overlap, above 0 everywhere."""
    from_edge = torch.arange(1, length + 1, device=like.device, dtype=like.dtype)
    return torch.minimum(from_edge, from_edge.flip(0)).clamp(max=overlap + 1) / (overlap + 1)
