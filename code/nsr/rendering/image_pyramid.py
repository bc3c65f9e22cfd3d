"""Pictures at several resolutions in one buffer, cut by their masks, to be sampled anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nsr.ops.image_patches import picture_samples
from nsr.ops.image_patches_torch import OUTSIDE


class ImagePyramid:
    """Grey or coloured pictures of several views, each level half as fine as the one before.

    Every pixel is one byte a channel; 0 says that it lies outside the mask, so that no second buffer is needed to know
    where the object is.  A pixel of a coarser level is the mean of four, and on the object if all four are.

    Attributes:
        values: ``[C, pixels]`` uint8, view by view and in each level by level, rows of pixels.
        frames: ``[V, L, 3]`` int64, where each level begins, its height and its width.

    Args:
        images: per view ``[H, W, 3]`` uint8; masks: per view ``[H, W]`` bool.
        levels: L; level 0 is the picture itself.
        colour: three channels instead of their luminance (ITU-R BT.601).
    """

    def __init__(
        self,
        images: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        levels: int = 3,
        colour: bool = False,
        device: torch.device | str = "cpu",
    ):
        self.levels = levels
        sizes = torch.tensor([[_level_size(mask.shape, level) for level in range(levels)] for mask in masks])
        counts = sizes.prod(-1).view(-1)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        self.values = torch.empty(3 if colour else 1, int(starts[-1]), dtype=torch.uint8, device=device)
        place = 0
        for image, mask in zip(images, masks, strict=True):
            value, inside = image.to(torch.float32), mask.clone()
            if not colour:
                value = value @ torch.tensor([[0.299], [0.587], [0.114]], device=value.device)
            for level in range(levels):
                if level:
                    value, inside = _halve(value, inside)
                stored = value.round().clamp(OUTSIDE + 1, 255).to(torch.uint8)
                stored = stored.masked_fill(~inside.unsqueeze(-1), OUTSIDE)
                self.values[:, place : place + inside.numel()] = stored.view(-1, len(self.values)).T.to(device)
                place += inside.numel()
        self.frames = torch.cat([starts[:-1].view(-1, levels, 1), sizes], dim=2).to(device)

    def sample(
        self, views: torch.Tensor, levels: torch.Tensor, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bilinear values of patches: ``nsr.ops.image_patches.picture_samples`` of these pictures."""
        return picture_samples(self.values, self.frames, views, levels, pixels)


def _level_size(size: Sequence[int], level: int) -> list[int]:
    return [max(length >> level, 1) for length in size]


def _halve(value: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of 2 x 2 pixels, and which of them lie all on the object; a last odd row or column is dropped."""
    height, width = _level_size(inside.shape, 1)
    if min(inside.shape) < 2:
        return value[:height, :width], torch.zeros_like(inside[:height, :width])
    value, inside = value[: 2 * height, : 2 * width], inside[: 2 * height, : 2 * width]
    return value.view(height, 2, width, 2, -1).mean((1, 3)), inside.view(height, 2, width, 2).all(3).all(1)
