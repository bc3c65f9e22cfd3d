"""Two rectified devices side by side: what one sees, and where the other has it."""

from __future__ import annotations

import numpy as np


def disparity_of(depth: np.ndarray, focal: float, baseline: float) -> np.ndarray:
    """Columns by which the right device has a point further left, ``focal baseline / z``, pixels.

    Args:
        depth: ``[H, W]`` z-depth of the left device, 0 where there is nothing (and the disparity 0).
        focal: horizontal focal length of both, pixels; baseline: their distance, in the depth's unit.
    """
    there = depth > 0
    return np.where(there, focal * baseline / np.where(there, depth, 1.0), 0.0)


def unseen_from_the_right(disparity: np.ndarray) -> np.ndarray:
    """``[H, W]`` bool: hidden from the right device by what is nearer, or left of its frame.

    Column u lands at u - d there; a surface at u' > u that lands at or left of it is in front of it.  What has
    disparity 0 is nothing: it hides nothing.
    """
    landing = np.arange(disparity.shape[1]) - disparity
    of_surfaces = np.where(disparity > 0, landing, np.inf)
    leftmost = np.minimum.accumulate(of_surfaces[:, ::-1], axis=1)[:, ::-1]
    beyond = np.concatenate([leftmost[:, 1:], np.full_like(leftmost[:, :1], np.inf)], axis=1)
    return (beyond <= landing) | (landing < 0)
