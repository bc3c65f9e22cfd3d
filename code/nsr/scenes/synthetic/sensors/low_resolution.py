"""Depth maps of few pixels: decimation by mean, nearest or smallest, holes respected."""

from __future__ import annotations

import numpy as np

from nsr.errors import SceneError

DECIMATIONS = ("area", "nearest", "closest")


def decimated_depth(depth: np.ndarray, factor: int, how: str = "area") -> np.ndarray:
    """Blocks of ``factor`` x ``factor`` pixels become one.

    Args:
        depth: ``[H, W]`` z-depth, 0 in holes; what is left over of a size that the factor does not divide is dropped.
        factor: at least 1.
        how: ``area`` the mean of the block's known values, ``nearest`` the value at its middle (right and below of it
            where the factor is even), ``closest`` the smallest known one, which keeps thin foreground.

    Returns:
        ``[H // factor, W // factor]`` float32, 0 where the block (or its middle) has no value.

    Raises:
        SceneError: an unknown way, or a factor that leaves no pixel.
    """
    height, width = depth.shape[0] // factor, depth.shape[1] // factor
    if how not in DECIMATIONS:
        raise SceneError(f"decimation is {how!r}; known are {', '.join(DECIMATIONS)}")
    if min(height, width) < 1:
        raise SceneError(f"a depth map of {depth.shape[1]}x{depth.shape[0]} has no pixel left when divided by {factor}")
    blocks = depth[: height * factor, : width * factor].reshape(height, factor, width, factor).astype(np.float64)
    if how == "nearest":
        return blocks[:, factor // 2, :, factor // 2].astype(np.float32)
    known = blocks > 0
    if how == "closest":
        smallest = np.where(known, blocks, np.inf).min((1, 3))
        return np.where(np.isfinite(smallest), smallest, 0).astype(np.float32)
    return (blocks.sum((1, 3)) / known.sum((1, 3)).clip(min=1)).astype(np.float32)
