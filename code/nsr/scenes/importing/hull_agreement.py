"""How well masks and cameras agree: the masks' visual hull, seen again from every camera."""

from __future__ import annotations

import numpy as np
import torch

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.resize import resize_intrinsics, resize_mask
from nsr.scenes.visual_hull import VisualHull

SIZE = 96  # of the longer side of the masks that are compared
RESOLUTION = 64  # of the hull
TOLERANCE = 0.15  # share of the views that may be mistaken, when the hull of all leaves views uncovered
CLEAR_IOU = 0.9


def hull_agreement(masks: list[np.ndarray], cameras: Cameras) -> list[float]:
    """Per view the intersection over union of its mask and the outline of all views' visual hull.

    What lies outside the unit sphere is no part of the comparison.  One wrong mask cuts the hull and so disagrees with
    all the others; where views are left uncovered, a hull that may pass over some of them is tried, and the better one
    judges.

    Args:
        masks: per view ``[H, W]`` bool; cameras: of the same views, in the normalised frame.

    Raises:
        SceneError: both hulls are empty.
    """
    small, intrinsics = [], []
    for mask, matrix in zip(masks, cameras.intrinsics.double().numpy(), strict=True):
        scale = min(1.0, SIZE / max(mask.shape))
        size = max(2, round(mask.shape[0] * scale)), max(2, round(mask.shape[1] * scale))
        small.append(torch.from_numpy(resize_mask(mask, size)))
        intrinsics.append(torch.from_numpy(resize_intrinsics(matrix, mask.shape, size)))
    reduced = Cameras(torch.stack(intrinsics).float(), cameras.poses.float())
    overlap = _overlaps(small, reduced, tolerance=0.0)
    if overlap and min(overlap) >= CLEAR_IOU:
        return overlap
    tolerant = _overlaps(small, reduced, TOLERANCE)
    if not (overlap or tolerant):
        raise SceneError("the visual hull is empty: masks and cameras contradict each other")
    return max(overlap, tolerant, key=lambda values: np.median(values) if values else 0.0)


def _overlaps(masks: list[torch.Tensor], cameras: Cameras, tolerance: float) -> list[float]:
    """Of every view; empty where the hull is."""
    try:
        hull = VisualHull.carve(masks, cameras, resolution=RESOLUTION, tolerance=tolerance)
    except SceneError:
        return []
    return [_overlap(hull, cameras, view, mask) for view, mask in enumerate(masks)]


def hull_outline(
    hull: VisualHull, cameras: Cameras, view: int, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which pixels of a view see the hull, and which see the unit sphere at all: two ``[H, W]`` bool."""
    height, width = size
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).float()
    origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
    middle = -(origins * directions).sum(1)
    half = (1 - (origins**2).sum(1) + middle**2).clamp(min=0).sqrt()
    meets = ((half > 0) & (middle + half > 0)).nonzero().squeeze(1)
    steps = hull.resolution  # one a cell, along a diameter
    inside = torch.zeros(len(meets), dtype=torch.bool)
    start, length = (middle - half)[meets].clamp(min=0), half[meets] * 2
    for step in torch.linspace(0, 1, steps):
        points = origins[meets] + directions[meets] * (start + step * length).unsqueeze(1)
        inside |= hull.value(points) < 0
    seen, sphere = torch.zeros(len(pixels), dtype=torch.bool), torch.zeros(len(pixels), dtype=torch.bool)
    seen[meets[inside]] = True
    sphere[meets] = True
    return seen.view(size), sphere.view(size)


def _overlap(hull: VisualHull, cameras: Cameras, view: int, mask: torch.Tensor) -> float:
    seen, sphere = hull_outline(hull, cameras, view, tuple(mask.shape))
    mask = mask & sphere
    union = (mask | seen).sum()
    return float((mask & seen).sum() / union) if union else 0.0
