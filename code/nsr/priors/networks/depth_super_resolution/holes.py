"""Values for pixels that have none, so that a network sees no cliffs where a sensor saw nothing."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

from nsr.priors.networks.depth_super_resolution.interpolation import repeat


def fill_holes(depth: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Give every invalid pixel the mean of the valid ones of the smallest power-of-two block that holds any.

    Args:
        depth: ``[B, 1, H, W]``; what invalid pixels hold is never read, not even NaN. Differentiable.
        mask: ``[B, 1, H, W]``, 1 where valid.

    Returns:
        ``[B, 1, H, W]``, equal to ``depth`` where valid; zero for a map without any valid pixel.
    """
    height, width = depth.shape[-2:]
    valid = mask > 0
    depth = torch.where(valid, depth, torch.zeros_like(depth))
    if valid.all() or height == width == 1:
        return depth
    share = avg_pool2d(valid.to(depth.dtype), 2, ceil_mode=True)
    mean = avg_pool2d(depth, 2, ceil_mode=True) / share.clamp(min=0.1)
    coarse = fill_holes(mean, (share > 0).to(depth.dtype))
    return torch.where(valid, depth, repeat(coarse, 2)[..., :height, :width])
