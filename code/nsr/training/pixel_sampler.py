"""Which rays a step looks at: pixels drawn over all training images, mostly near the object."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy import ndimage

from nsr.errors import SceneError
from nsr.scenes.scene import Scene

MIXED_WEIGHT = 0.1  # not 0: what is nowhere wider than its outlines has to get its colours from them


@dataclass
class PixelBatch:
    """N pixels and what the photographs say of them.

    Attributes:
        views: ``[N]`` int64; pixels: ``[N, 2]`` (u, v); rgb: ``[N, 3]`` in [-1, 1]; mask: ``[N]`` bool.
        colour_weight: ``[N]``, 1 but for pixels just inside an outline (``PixelSampler``'s ``mixed_width``).
    """

    views: torch.Tensor
    pixels: torch.Tensor
    rgb: torch.Tensor
    mask: torch.Tensor
    colour_weight: torch.Tensor


class PixelSampler:
    """Draws pixels of the training views with torch's global generator.

    Rays far from the object teach nothing about its surface, but with none of them the space around it stays
    unconstrained and silhouettes of other views suffer; so a small share is drawn anywhere.

    Args:
        scene: its training views alone are read.
        anywhere: share of the pixels drawn uniformly over the images; the others lie in the masks, grown by
            ``margin`` (a fraction of the longer side).
        tolerance: pixels no farther than this outside a mask (a fraction of the longer side) are never drawn: an
            outline is known to a pixel or two, and less well where it was drawn by hand.  Needs ``anywhere`` below 1.
        mixed_width: pixels no farther than this inside a mask, in pixels, show what is behind the object, too, and
            their colours weigh little: surfaces shrink from outlines that are to look like the background.
        excluded: pixels that are never drawn at all: view -> ``[H, W]`` bool.

    Raises:
        SceneError: every pixel of every training view is excluded.
    """

    def __init__(
        self,
        scene: Scene,
        device: torch.device,
        anywhere: float = 1.0,
        margin: float = 0.02,
        tolerance: float = 0.0,
        mixed_width: float = 0.0,
        excluded: dict[int, torch.Tensor] | None = None,
    ):
        self.anywhere = anywhere
        self.views = torch.tensor(scene.train_views, device=device)
        shapes = [scene.masks[view].shape for view in scene.train_views]
        self.rgb = _flatten(scene.images, scene.train_views).to(device)
        self.mask = _flatten(scene.masks, scene.train_views).to(device)
        masks = [scene.masks[view] for view in scene.train_views]
        self.mixed = torch.cat([_mixed(mask, mixed_width) for mask in masks]).to(device) if mixed_width > 0 else None
        sizes = torch.tensor([height * width for height, width in shapes])
        self.widths = torch.tensor([width for _, width in shapes], device=device)
        self.starts = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)]).to(device)
        self.near = self.doubtful = torch.empty(0, dtype=torch.int32, device=device)
        if anywhere < 1 or excluded:
            near, doubtful = [], []
            for view, start in zip(scene.train_views, self.starts[:-1].tolist()):
                chosen, avoided = _near(scene.masks[view].numpy(), margin, tolerance, anywhere)
                if excluded and view in excluded:
                    never = excluded[view].numpy()
                    chosen, avoided = chosen & ~never, avoided | never
                for kind, pixels in zip((near, doubtful), (chosen, avoided)):
                    kind.append(torch.from_numpy((np.flatnonzero(pixels) + start).astype(np.int32)))
            self.near, self.doubtful = torch.cat(near).to(device), torch.cat(doubtful).to(device)
            if excluded and len(self.near) == 0:
                raise SceneError(f"{scene.name}: no pixel is left to train on; every view is distrusted in every pixel")

    def draw(self, count: int) -> PixelBatch:
        """A batch of ``count`` pixels."""
        device = self.rgb.device
        everywhere = count if len(self.near) == 0 else round(count * self.anywhere)
        flat = torch.randint(len(self.mask), (everywhere,), device=device)
        if len(self.near):
            near = self.near[torch.randint(len(self.near), (count,), device=device)].long()
            # Doubtful pixels among those drawn anywhere give way to ones near the masks.
            doubtful = _is_among(flat.int(), self.doubtful)
            flat = torch.cat([torch.where(doubtful, near[:everywhere], flat), near[everywhere:]])
        index = torch.searchsorted(self.starts, flat, right=True) - 1
        within = flat - self.starts[index]
        width = self.widths[index]
        pixels = torch.stack([within % width, within // width], dim=1).to(torch.float32)
        rgb = self.rgb[flat].to(torch.float32) / 127.5 - 1
        weight = torch.ones_like(rgb[:, 0])
        if self.mixed is not None:
            weight = torch.where(self.mixed[flat], MIXED_WEIGHT, weight)
        return PixelBatch(self.views[index], pixels, rgb, self.mask[flat], weight)


def _flatten(pictures: list[torch.Tensor], views: list[int]) -> torch.Tensor:
    """The pictures of ``views``, one after the other, ``[pixels, ...]``.

    The list's entries become windows into the result, so that the scene's pictures are in memory once.
    """
    flat = torch.cat([pictures[view].flatten(0, 1) for view in views])
    start = 0
    for view in views:
        shape = pictures[view].shape
        pictures[view] = flat[start : start + shape[0] * shape[1]].view(shape)
        start += shape[0] * shape[1]
    return flat


def _mixed(mask: torch.Tensor, width: float) -> torch.Tensor:
    """Pixels ``[H * W]`` bool of a mask that are no farther than ``width`` pixels from one outside; the frame's border
    is no outline."""
    depth = cv2.distanceTransform(mask.numpy().astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return (mask & torch.from_numpy(depth <= width)).view(-1)


def _is_among(values: torch.Tensor, ascending: torch.Tensor) -> torch.Tensor:
    """Which of ``values [N]`` stand in the sorted ``ascending [M]``."""
    if len(ascending) == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    place = torch.searchsorted(ascending, values).clamp_max(len(ascending) - 1)
    return ascending[place] == values


def _near(mask: np.ndarray, margin: float, tolerance: float, anywhere: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the mask with those beyond the tolerance and within the margin; and those within the tolerance.

    Where pixels are drawn anywhere at all, near is everywhere and the tolerance has no say.
    """
    if anywhere == 1:
        return np.ones_like(mask), np.zeros_like(mask)
    if not mask.any():
        return mask, mask
    outside, longer = ndimage.distance_transform_edt(~mask), max(mask.shape)
    doubtful = ~mask & (outside <= tolerance * longer)
    return mask | (~doubtful & (outside <= max(2.0, margin * longer))), doubtful
