"""Are the cameras written in another convention than the one they are read in?  Found by trying the others.

Masks judge: cameras in the right convention make a visual hull that covers the masks when it is seen again.  A wrong
one (axes of OpenGL, world-to-camera matrices in place of camera-to-world) makes none, or another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.importing.hull_agreement import hull_agreement
from nsr.scenes.importing.normalisation import normalised_poses, sphere_from_masks

GOOD_IOU = 0.8  # of the median view's mask and the hull
GAIN = 0.15  # by which another convention must be better to be named
MOST_VIEWS = 32  # are looked at, spread over the scene
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Convention:
    """A way to read poses other than as they stand.

    Attributes:
        name: what the file seems to hold; remedy: what to do about it.
        inverted: world-to-camera and camera-to-world are exchanged; flipped: camera axes y and z point the other way.
    """

    name: str
    remedy: str
    inverted: bool
    flipped: bool

    def reread(self, poses: np.ndarray) -> np.ndarray:
        """What the poses ``[V, 4, 4]`` (camera to world) would be in this convention."""
        poses = np.linalg.inv(poses) if self.inverted else poses
        return poses @ FLIP if self.flipped else poses


CONVENTIONS = (
    Convention(
        "axes of OpenGL (y up, z backward)",
        "multiply each camera-to-world by diag(1, -1, -1, 1) on its right",
        False,
        True,
    ),
    Convention("camera-to-world where world-to-camera belongs", "invert each pose", True, False),
    Convention(
        "camera-to-world with OpenGL's axes where world-to-camera belongs",
        "invert each pose, then multiply it by diag(1, -1, -1, 1) on its right",
        True,
        True,
    ),
)


def check_conventions(
    masks: list[np.ndarray], intrinsics: np.ndarray, poses: np.ndarray, normalised: Cameras
) -> list[tuple[str, str]]:
    """Judge cameras by masks, and try other conventions where they do not fit.

    Args:
        masks: per view ``[H, W]`` bool; intrinsics: ``[V, 3, 3]``; poses: ``[V, 4, 4]`` camera to **world**, as the
            file has them.
        normalised: the same cameras in the scene's own normalised frame.

    Returns:
        judgements: "error", "warning" or "information" and one line each.
    """
    known = [view for view, mask in enumerate(masks) if mask.any() and not mask.all()]
    if len(known) < 3:
        return []
    known = [known[index] for index in np.unique(np.linspace(0, len(known) - 1, MOST_VIEWS).round().astype(int))]
    masks, intrinsics, poses = [masks[view] for view in known], intrinsics[known], poses[known]
    given = _score(masks, normalised.select(known))
    median = float(np.median(given))
    if median >= GOOD_IOU:
        judgements = [
            ("information", f"masks and cameras agree: IoU with the visual hull {median:.3f} in the median view")
        ]
        for view, value in zip(known, given, strict=True):
            if value < min(GOOD_IOU, median - GAIN):
                line = f"the mask of view {view} disagrees with the others: IoU with their visual hull {value:.2f}"
                judgements.append(("warning", f"{line} (median {median:.2f}); look at it"))
        return judgements
    tried = [
        (_renormalised_score(masks, intrinsics, convention.reread(poses)), convention) for convention in CONVENTIONS
    ]
    best, convention = max(tried, key=lambda entry: entry[0])
    same = _renormalised_score(masks, intrinsics, poses)
    if best > max(same, median) + GAIN:
        return [
            (
                "error",
                f"the cameras seem to be written in another convention: read as {convention.name}, they fit the masks "
                f"with an IoU of {best:.2f} instead of {max(same, median):.2f}; {convention.remedy}",
            )
        ]
    if same > median + GAIN:
        return [
            (
                "error",
                f"scale_mat does not hold the object: in a unit sphere made from the masks they fit with an IoU of "
                f"{same:.2f} instead of {median:.2f}; make scale_mat anew",
            )
        ]
    line = f"masks and cameras do not agree: IoU with the visual hull {median:.2f} in the median view (good: 0.9)"
    return [("warning", line + "; no other convention of axes or of pose direction fits better")]


def _score(masks: list[np.ndarray], cameras: Cameras) -> list[float]:
    try:
        return hull_agreement(masks, cameras)
    except SceneError:  # no hull at all
        return [0.0] * len(masks)


def _renormalised_score(masks: list[np.ndarray], intrinsics: np.ndarray, poses: np.ndarray) -> float:
    """The median IoU when the unit sphere is found from the masks too, since a wrong convention spoils it."""
    try:
        sphere = sphere_from_masks(masks, intrinsics, poses)
    except SceneError:
        return 0.0
    cameras = Cameras(torch.from_numpy(intrinsics), torch.from_numpy(normalised_poses(poses, sphere)))
    return float(np.median(_score(masks, cameras)))
