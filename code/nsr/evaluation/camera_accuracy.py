"""How far estimated cameras are from true ones, once the frames are aligned."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import CAMERA_FILE
from nsr.scenes.scene import Scene
from nsr.scenes.similarity import Similarity, align_poses

_ERRORS = ("rotation_degrees", "centre_distance")


@dataclass
class CameraAccuracy:
    """Errors of cameras after alignment.

    Attributes:
        rotation_degrees: ``[V]`` angle between estimated and true orientation.
        centre_distances: ``[V]`` distance between estimated and true centre, in the unit of the true poses.
        similarity: the alignment; it takes the estimated frame to the true one.
    """

    rotation_degrees: np.ndarray
    centre_distances: np.ndarray
    similarity: Similarity

    def format(self, when: str = "cameras") -> str:
        """One line for people; ``when`` begins it."""
        return (
            f"{when}: rotation error mean {self.rotation_degrees.mean():.3f} median "
            f"{np.median(self.rotation_degrees):.3f} degrees, centre error mean {self.centre_distances.mean():.4g} "
            f"median {np.median(self.centre_distances):.4g} world units"
        )

    def figures(self) -> dict[str, float]:
        """Mean and median of both errors, as ``metrics.json`` has them."""
        return {
            f"{name}_{kind}": float(function(errors))
            for name, errors in zip(_ERRORS, (self.rotation_degrees, self.centre_distances))
            for kind, function in (("mean", np.mean), ("median", np.median))
        }


def compare_cameras(estimated: np.ndarray, true: np.ndarray) -> CameraAccuracy:
    """Align estimated poses to true ones and measure what is left, as IDR does (see ``align_poses``).

    Args:
        estimated, true: ``[V, 4, 4]`` camera-to-world, V >= 2.
    """
    similarity = align_poses(estimated, true)
    aligned = similarity.poses(estimated)
    left_over = np.einsum("vij,vik->vjk", true[:, :3, :3], aligned[:, :3, :3])
    # The angle from both sine and cosine: the arc cosine alone loses half of the digits near 0 degrees.
    axis = np.stack([left_over[:, 2, 1] - left_over[:, 1, 2], left_over[:, 0, 2] - left_over[:, 2, 0],
                     left_over[:, 1, 0] - left_over[:, 0, 1]], axis=-1)  # fmt: skip
    angles = np.arctan2(np.linalg.norm(axis, axis=-1), np.trace(left_over, axis1=1, axis2=2) - 1)
    distances = np.linalg.norm(aligned[:, :3, 3] - true[:, :3, 3], axis=-1)
    return CameraAccuracy(np.degrees(angles), distances, similarity)


def reference_cameras(scene: Scene) -> tuple[Cameras, np.ndarray]:
    """The cameras of the scene's ``cameras.npz`` (float64, in the frame that its own ``scale_mat`` normalises) and that
    ``scale_mat``, whatever camera file the scene was read from.

    Raises:
        SceneError: ``cameras.npz`` cannot be read.
    """
    return read_camera_file(Path(scene.folder) / CAMERA_FILE).cameras(len(scene))


def evaluate_cameras(estimated_poses: np.ndarray, scene: Scene) -> CameraAccuracy:
    """Compare a run's poses with those of the scene's ``cameras.npz``, over the training views, in world units.

    Args:
        estimated_poses: ``[V, 4, 4]`` camera-to-world of every view in the normalised frame of ``scene``.
        scene: as it was trained on, perhaps from another camera file, whose ``scale_mat`` may differ.

    Raises:
        SceneError: ``cameras.npz`` cannot be read.
    """
    true_cameras, true_scale_mat = reference_cameras(scene)
    true = Similarity.from_matrix(true_scale_mat).poses(true_cameras.poses.double().numpy())
    estimated = Similarity.from_matrix(scene.scale_mat).poses(np.asarray(estimated_poses, dtype=np.float64))
    return compare_cameras(estimated[scene.train_views], true[scene.train_views])


def write_camera_errors(path: str | Path, given: CameraAccuracy, refined: CameraAccuracy, views: list[int]) -> None:
    """Write a CSV with a line per view: view; rotation_degrees and centre_distance (world units) of the refined
    cameras; the same of the given ones."""
    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["view", *_ERRORS, *(f"given_{name}" for name in _ERRORS)])
        columns = [errors for each in (refined, given) for errors in (each.rotation_degrees, each.centre_distances)]
        writer.writerows(zip(views, *columns, strict=True))
