"""Features of photographs, and which views to look for the same ones in."""

from __future__ import annotations

import cv2
import numpy as np

FEATURES = 2000  # a view
CONTRAST = 0.04  # OpenCV's own
LARGEST_ANGLE = 50.0  # degrees between the viewing directions of a pair


class Features:
    """SIFT features of a picture, inside its mask where it has one (Lowe, "Distinctive image features from
    scale-invariant keypoints", 2004).

    Attributes:
        pixels: ``[N, 2]`` (u, v); descriptors: ``[N, 128]`` float32.
    """

    def __init__(self, picture: np.ndarray, mask: np.ndarray, count: int = FEATURES, contrast: float = CONTRAST):
        """``picture [H, W, 3]`` uint8 RGB, ``mask [H, W]`` bool; the ``count`` strongest that have ``contrast``."""
        sift = cv2.SIFT_create(nfeatures=count, contrastThreshold=contrast, enable_precise_upscale=True)
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        inside = cv2.erode(mask.astype(np.uint8) * 255, np.ones((5, 5), np.uint8), borderValue=255)
        points, descriptors = sift.detectAndCompute(grey, inside)
        self.pixels = np.array([point.pt for point in points], dtype=np.float64).reshape(-1, 2)
        self.descriptors = np.zeros((0, 128), np.float32) if descriptors is None else descriptors


def near_pairs(poses: np.ndarray, neighbours: int = 2) -> list[tuple[int, int]]:
    """Pairs of views that look from similar sides: each with its nearest in viewing direction.

    Args:
        poses: ``[V, 4, 4]`` camera to world; neighbours: of each view.
    """
    directions = poses[:, :3, 2]
    angles = np.degrees(np.arccos(np.clip(directions @ directions.T, -1, 1)))
    np.fill_diagonal(angles, np.inf)
    pairs = set()
    for view in range(len(poses)):
        for other in np.argsort(angles[view])[:neighbours].tolist():
            if angles[view, other] <= LARGEST_ANGLE:
                pairs.add((min(view, other), max(view, other)))
    return sorted(pairs)
