"""``Scene``: what is given to the engine, in the normalised frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from nsr.scenes.cameras import Cameras


@dataclass
class Scene:
    """Images, masks and cameras of one object.

    Attributes:
        name: for messages and folder names.
        images: per view ``[H, W, 3]`` uint8 RGB; they stay uint8 in memory.
        masks: per view ``[H, W]`` bool, True on the object.
        cameras: in the normalised frame (the object inside the unit sphere).
        scale_mat: ``[4, 4]`` float64 similarity, normalised to world.
        train_views: indices that training may look at.
        heldout_views: indices that nothing looks at before evaluation.
        ground_truth_mesh: path of the true surface in **world** coordinates, where there is one.
        folder: where it was read from.
    """

    name: str
    images: list[torch.Tensor]
    masks: list[torch.Tensor]
    cameras: Cameras
    scale_mat: np.ndarray
    train_views: list[int]
    heldout_views: list[int] = field(default_factory=list)
    ground_truth_mesh: Path | None = None
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def masked(self) -> bool:
        """Whether the masks tell the object from what is behind it: some training view's leaves something out."""
        return not all(bool(self.masks[view].all()) for view in self.train_views)

    @property
    def scale(self) -> float:
        """World units per unit of the normalised frame."""
        return float(np.cbrt(abs(np.linalg.det(self.scale_mat[:3, :3]))))

    def to_normalised(self, points: np.ndarray) -> np.ndarray:
        """``[N, 3]`` points from world coordinates to the normalised frame."""
        return (points - self.scale_mat[:3, 3]) @ np.linalg.inv(self.scale_mat[:3, :3]).T
