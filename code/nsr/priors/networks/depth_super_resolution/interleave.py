"""One map from four: the views of a scene seen from four cameras half a pixel apart, put together pixel by pixel."""

from __future__ import annotations

import torch
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

VIEWS = ((0, 0), (0, 1), (1, 0), (1, 1))  # (row, column) of each view's pixels in every 2 x 2 block, in this order


def interleave(views: torch.Tensor) -> torch.Tensor:
    """Put four views together (Song et al. 2019, section III-B).

    Args:
        views: ``[B, 4, H, W]`` in the order of ``VIEWS``; any unit, differentiable.

    Returns:
        ``[B, 1, 2H, 2W]``, whose pixel (2i + r, 2j + c) is pixel (i, j) of the view (r, c).
    """
    return pixel_shuffle(views, 2)


def deinterleave(fine: torch.Tensor) -> torch.Tensor:
    """The inverse of ``interleave``: ``[B, 1, 2H, 2W]`` to ``[B, 4, H, W]``."""
    return pixel_unshuffle(fine, 2)
