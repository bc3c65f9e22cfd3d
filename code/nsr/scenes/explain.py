"""The slower part of a scene's check: what masks and features say of the cameras."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.cameras import decompose_projection
from nsr.scenes.check import CheckReport
from nsr.scenes.convention_check import check_conventions
from nsr.scenes.epipolar_check import check_epipolar, match_features
from nsr.scenes.features import Features, near_pairs
from nsr.scenes.idr_folder import CAMERA_FILE, load_scene
from nsr.scenes.scene import Scene

FEATURE_SIZE = 1000  # of the longer side of pictures in which features are looked for
MOST_VIEWS = 40  # whose features are matched, in a row


def explain_scene(
    report: CheckReport, folder: str | Path, cam_file: str | None = None, features: bool = True
) -> Scene | None:
    """Add to a check's report what masks and features say of the cameras.

    Tries the conventions that people mix up (axes, direction of the pose, half a pixel), and measures silhouettes
    against the visual hull and features against epipolar lines.

    Args:
        report: of ``check_scene`` on the same folder; gets more entries.
        features: match features too, which takes about half a second a view.

    Returns:
        the scene; None where it cannot be loaded, which the report says already.
    """
    folder = Path(folder)
    try:
        scene = load_scene(folder, cam_file=cam_file, heldout_every=0)
    except SceneError:
        return None
    matrices = read_camera_file(folder / (cam_file or CAMERA_FILE)).world_mats
    intrinsics, poses = map(np.stack, zip(*(decompose_projection(matrices[v]) for v in range(len(scene))), strict=True))
    masks = [mask.numpy() for mask in scene.masks]
    judgements = check_conventions(masks, intrinsics, poses, scene.cameras)
    if features and not any(severity == "error" for severity, _ in judgements):
        judgements += _by_features(scene, intrinsics, poses)
    lists = {"error": report.errors, "warning": report.warnings, "information": report.information}
    for severity, line in judgements:
        lists[severity].append(line)
    return scene


def _by_features(scene: Scene, intrinsics: np.ndarray, poses: np.ndarray) -> list[tuple[str, str]]:
    count = min(len(scene), MOST_VIEWS)
    found = []
    for view in range(count):
        picture, mask = scene.images[view].numpy(), scene.masks[view].numpy()
        # Whole strides keep pixels exact: a blur that hides half a pixel would hide what is looked for.
        stride = -(-max(mask.shape) // FEATURE_SIZE)
        features = Features(picture[::stride, ::stride], mask[::stride, ::stride])
        features.pixels *= stride
        found.append(features)
    matches = match_features(found, near_pairs(poses[:count]))
    return check_epipolar(matches, intrinsics, poses)
