"""Figures of one enlarged map: over all valid pixels, about depth discontinuities, and away from them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from nsr.priors.networks.common.metrics import mad_mm, psnr_db, rmse_mm

JUMP = 0.03  # neighbours whose depths differ by more than this share of the nearer one's lie on two surfaces
EDGE_REACH = 3  # pixels from a discontinuity that count as its edge


def near_edges(depth: Tensor, mask: Tensor) -> Tensor:
    """Where valid pixels lie within ``EDGE_REACH`` of a discontinuity between two valid neighbours.

    Args:
        depth: ``[1, H, W]`` metres; mask: ``[1, H, W]``, 1 where valid.

    Returns:
        ``[1, H, W]``, 1 there and 0 elsewhere.
    """
    edge = torch.zeros_like(mask)
    for axis in (1, 2):
        length = depth.shape[axis]
        one, other = depth.narrow(axis, 0, length - 1), depth.narrow(axis, 1, length - 1)
        valid = (mask.narrow(axis, 0, length - 1) > 0) & (mask.narrow(axis, 1, length - 1) > 0)
        jump = (valid & ((one - other).abs() > JUMP * torch.minimum(one, other))).to(mask.dtype)
        for start in (0, 1):
            side = edge.narrow(axis, start, length - 1)
            side.copy_(torch.maximum(side, jump))
    return max_pool2d(edge[None], 2 * EDGE_REACH + 1, 1, EDGE_REACH)[0] * (mask > 0)


def measure(depth: Tensor, truth: Tensor, mask: Tensor) -> dict[str, float]:
    """RMSE and MAD in millimetres and PSNR in dB over valid pixels, RMSE and MAD of edges and of interiors.

    The peak of the PSNR is the range of the frame's own true depths, as where depth is stretched to [0, 1] first.

    Args:
        depth, truth: ``[1, H, W]`` metres; mask: ``[1, H, W]``, 1 where both are to be compared.
    """
    edges = near_edges(truth, mask)
    known = truth[mask > 0]
    peak = float(known.max() - known.min()) if known.numel() else 0.0
    figures = {
        "rmse_mm": rmse_mm(depth, truth, mask),
        "mad_mm": mad_mm(depth, truth, mask),
        "psnr_db": psnr_db(depth, truth, mask, peak),
    }
    for part, area in (("edges", edges), ("interiors", (mask > 0).to(mask.dtype) - edges)):
        figures |= {f"{part}_rmse_mm": rmse_mm(depth, truth, area), f"{part}_mad_mm": mad_mm(depth, truth, area)}
    return figures
