"""How far estimated cameras are from true ones, once the frames are aligned.

Cameras that are optimised together with a surface may drift as a whole (a rotation, a scale and a shift change no
image), so that errors mean something only after a similarity between the two frames is taken out.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.idr_folder import CAMERA_FILE
from nsr.scenes.scene import Scene

_ITERATIONS = 500
_TOLERANCE = 1e-12


@dataclass
class CameraAccuracy:
    """Errors of cameras after alignment.

    Attributes:
        rotation_degrees: ``[V]`` angle between estimated and true orientation.
        centre_distances: ``[V]`` distance between estimated and true centre, in the unit of the true poses.
        rotation: ``[3, 3]``, scale, translation ``[3]``: of the alignment; ``scale * rotation @ x + translation``
            takes a point of the estimated frame to the true one.
    """

    rotation_degrees: np.ndarray
    centre_distances: np.ndarray
    rotation: np.ndarray
    scale: float
    translation: np.ndarray

    def format(self) -> str:
        """One line for people."""
        return (
            f"cameras: rotation error mean {self.rotation_degrees.mean():.3f} median "
            f"{np.median(self.rotation_degrees):.3f} degrees, centre error mean {self.centre_distances.mean():.4g} "
            f"median {np.median(self.centre_distances):.4g} world units"
        )


def compare_cameras(estimated: np.ndarray, true: np.ndarray) -> CameraAccuracy:
    """Align estimated poses to true ones and measure what is left, as IDR does.

    The rotation of the alignment is the least-squares one between the orientations; its scale and shift minimise the
    **sum of distances** (not of squares) between the centres, so that a few bad cameras do not spoil the others'
    figures.  That convex problem is solved by iteratively reweighted least squares.

    Args:
        estimated, true: ``[V, 4, 4]`` camera-to-world, V >= 2.
    """
    left, _, right = np.linalg.svd(np.einsum("vij,vkj->ik", true[:, :3, :3], estimated[:, :3, :3]))
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    turned = estimated[:, :3, 3] @ rotation.T
    scale, translation = _robust_scale_and_shift(turned, true[:, :3, 3])
    left_over = np.einsum("vij,vik->vjk", true[:, :3, :3], rotation @ estimated[:, :3, :3])
    # The angle from both sine and cosine: the arc cosine alone loses half of the digits near 0 degrees.
    axis = np.stack([left_over[:, 2, 1] - left_over[:, 1, 2], left_over[:, 0, 2] - left_over[:, 2, 0],
                     left_over[:, 1, 0] - left_over[:, 0, 1]], axis=-1)  # fmt: skip
    angles = np.arctan2(np.linalg.norm(axis, axis=-1), np.trace(left_over, axis1=1, axis2=2) - 1)
    distances = np.linalg.norm(scale * turned + translation - true[:, :3, 3], axis=-1)
    return CameraAccuracy(np.degrees(angles), distances, rotation, scale, translation)


def _robust_scale_and_shift(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Minimise the sum over views of ``|scale * source + shift - target|``."""
    weights = np.ones(len(source))
    size = np.abs(target - target.mean(0)).max()
    previous = np.inf
    for _ in range(_ITERATIONS):
        part = weights / weights.sum()
        source_mean, target_mean = part @ source, part @ target
        centred = source - source_mean
        scale = float((part[:, None] * centred * (target - target_mean)).sum() / (part[:, None] * centred**2).sum())
        shift = target_mean - scale * source_mean
        distances = np.linalg.norm(scale * source + shift - target, axis=-1)
        if previous - distances.sum() < _TOLERANCE * size:
            break
        previous = distances.sum()
        weights = 1 / np.maximum(distances, 1e-9 * size)
    return scale, shift


def evaluate_cameras(estimated_poses: np.ndarray, scene: Scene) -> CameraAccuracy:
    """Compare a run's poses with those of the scene's ``cameras.npz``, over the training views, in world units.

    Args:
        estimated_poses: ``[V, 4, 4]`` camera-to-world of every view in the normalised frame of ``scene``.
        scene: as it was trained on, perhaps from another camera file, whose ``scale_mat`` may differ.

    Raises:
        SceneError: ``cameras.npz`` cannot be read.
    """
    true_cameras, true_scale_mat = read_camera_file(Path(scene.folder) / CAMERA_FILE).cameras(len(scene))
    true = _in_world(true_cameras.poses.double().numpy(), true_scale_mat)
    estimated = _in_world(np.asarray(estimated_poses, dtype=np.float64), scene.scale_mat)
    return compare_cameras(estimated[scene.train_views], true[scene.train_views])


def _in_world(poses: np.ndarray, scale_mat: np.ndarray) -> np.ndarray:
    scale = np.cbrt(np.linalg.det(scale_mat[:3, :3]))
    world = poses.copy()
    world[:, :3, :3] = scale_mat[:3, :3] / scale @ poses[:, :3, :3]
    world[:, :3, 3] = poses[:, :3, 3] @ scale_mat[:3, :3].T + scale_mat[:3, 3]
    return world


def write_camera_errors(path: str | Path, accuracy: CameraAccuracy, views: list[int]) -> None:
    """Write a CSV with a line per view: view, rotation_degrees, centre_distance (world units)."""
    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["view", "rotation_degrees", "centre_distance"])
        writer.writerows(zip(views, accuracy.rotation_degrees, accuracy.centre_distances, strict=True))
