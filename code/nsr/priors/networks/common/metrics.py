"""Figures of depth, normals and images over a mask."""

from __future__ import annotations

import torch
from torch import Tensor


def rmse_mm(depth: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Root of the mean squared difference of depths in metres over the mask, in millimetres; NaN where it is empty."""
    error = _errors(depth, truth, mask)
    return float(error.square().mean().sqrt()) * 1000


def mad_mm(depth: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Mean absolute difference of depths in metres over the mask, in millimetres; NaN where it is empty."""
    return float(_errors(depth, truth, mask).abs().mean()) * 1000


def psnr_db(image: Tensor, truth: Tensor, mask: Tensor, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio over the mask in dB; infinite where they are equal, NaN where the mask is empty.

    Args:
        image, truth: ``[C, H, W]``; mask: ``[1, H, W]``.
        peak: the range of the values; for depth, say which.
    """
    error = _errors(image, truth, mask).square().mean()
    return float(10 * torch.log10(peak**2 / error))


def angular_error_degrees(normal: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Mean angle between normals ``[3, H, W]`` of any length over the mask, in degrees; NaN where it is empty."""
    valid = mask[0] > 0
    a, b = (torch.nn.functional.normalize(vectors[:, valid].double(), dim=0) for vectors in (normal, truth))
    # the half angle from the chord keeps its precision near 0, where arccos of a cosine loses it
    return float(torch.rad2deg(2 * torch.asin(((a - b).norm(dim=0) / 2).clamp(max=1))).mean())


def _errors(values: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Differences where the mask is set, in double precision."""
    valid = (mask > 0).expand_as(truth)
    return (values.double() - truth.double())[valid]
