"""Masks that a run without masks finds by itself: the silhouettes of what its volume stage has formed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from nsr.errors import CheckpointError, NsrError
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene

LONGEST = 256  # blocks of pixels along a view's longer side, one ray each
UNCERTAIN = 2.5  # blocks outside a found mask where the outline may run: one was left out, and what formed is rough
_CHUNK = 65536  # rays at a time


@torch.no_grad()
def find_masks(renderer: SurfaceRenderer, cameras: Cameras, scene: Scene) -> list[torch.Tensor]:
    """``[H, W]`` bool of every view of the scene, on the CPU: where rays of the training views meet the surface, and
    all of the other views, which nobody looks at.

    One ray a block of pixels is traced, and the outermost blocks are left out: where the outline runs is not known to a
    block, and what has formed may still be too large.  Nor are pixels just outside known to see past the object, see
    ``uncertain_width``.

    Args:
        cameras: of all views, as they are now.

    Raises:
        NsrError: no ray of any training view meets anything.
    """
    masks = [torch.ones(mask.shape, dtype=torch.bool) for mask in scene.masks]
    for view in scene.train_views:
        height, width = masks[view].shape
        block = _block(height, width)
        rows, columns = (torch.arange((block - 1) // 2, length, block) for length in (height, width))
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        pixels = torch.stack([u, v], dim=-1).view(-1, 2).to(cameras.poses)
        hits = []
        for part in pixels.split(_CHUNK):
            origins, directions = cameras.rays(torch.full((len(part),), view, device=part.device), part)
            hits.append(renderer.trace(origins, directions).hit.cpu())
        hit = ndimage.binary_erosion(torch.cat(hits).view(v.shape).numpy(), np.ones((3, 3)), border_value=1)
        blocks = np.kron(hit, np.ones((block, block), dtype=bool))
        full = np.zeros((height, width), dtype=bool)
        full[: blocks.shape[0], : blocks.shape[1]] = blocks[:height, :width]
        masks[view] = torch.from_numpy(full)
    if not any(masks[view].any() for view in scene.train_views):
        raise NsrError(
            f"{scene.name}: without masks nothing has formed inside the unit sphere; give the run masks, or check that "
            "the sphere of cameras.npz (scale_mat) holds the object and little else"
        )
    return masks


def uncertain_width(scene: Scene) -> float:
    """How far outside a found mask the object's outline may run, as a part of a view's longer side: the most of the
    training views."""
    shapes = [tuple(scene.masks[view].shape) for view in scene.train_views]
    return max(UNCERTAIN * _block(height, width) / max(height, width) for height, width in shapes)


def _block(height: int, width: int) -> int:
    """The side of a block, in pixels."""
    return max(1, -(-max(height, width) // LONGEST))


def pack_masks(masks: list[torch.Tensor]) -> list[torch.Tensor]:
    """Eight pixels a byte, for a checkpoint."""
    return [torch.from_numpy(np.packbits(mask.numpy())) for mask in masks]


def unpack_masks(packed: list[torch.Tensor], scene: Scene, path: Path) -> list[torch.Tensor]:
    """What ``pack_masks`` packed, at the sizes of the scene's views; ``path``, of the checkpoint, is for the message.

    Raises:
        CheckpointError: they are of other views, or of views of other sizes.
    """
    if [len(bits) for bits in packed] != [-(-mask.numel() // 8) for mask in scene.masks]:
        raise CheckpointError(
            f"{path}: the masks that it found are of {len(packed)} views, and do not fit the {len(scene)} of "
            f"{scene.name}; continue on the scene that it was trained on, as it was then"
        )
    masks = []
    for bits, mask in zip(packed, scene.masks, strict=True):
        pixels = np.unpackbits(bits.cpu().numpy(), count=mask.numel())
        masks.append(torch.from_numpy(pixels.astype(bool)).view(mask.shape))
    return masks
