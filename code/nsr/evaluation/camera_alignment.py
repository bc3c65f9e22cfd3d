"""A run with trained cameras put back into the frame of its scene: its drift, its errors, its held-out cameras."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from nsr.evaluation.camera_accuracy import CameraAccuracy, evaluate_cameras, reference_cameras
from nsr.evaluation.held_out_cameras import CARRIED, held_out_cameras
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene

_SAME = 1e-6  # poses that differ by less are the same in single precision


@dataclass
class CameraAlignment:
    """What aligning a run's cameras with those of ``cameras.npz`` gives.

    Attributes:
        given, refined: errors of the training views' cameras before training and after, each aligned by itself.
        cameras: of all views in the run's frame, held-out ones included.
        held_out: how those came there (see ``held_out_cameras``), or None where they did not have to move.
        to_world: ``[4, 4]`` similarity from the run's normalised frame to the world of ``cameras.npz``.
        reference: the scene with the cameras and the frame of ``cameras.npz``.
    """

    given: CameraAccuracy
    refined: CameraAccuracy
    cameras: Cameras
    held_out: str | None
    to_world: np.ndarray
    reference: Scene

    def format(self) -> str:
        """Lines for people."""
        lines = [self.given.format("given cameras"), self.refined.format("refined cameras")]
        if self.held_out:
            lines.append(f"cameras of held-out views: {_HOW[self.held_out]}")
        return "\n".join(lines)

    def figures(self) -> dict:
        """What ``metrics.json`` holds under ``cameras``."""
        return {"given": self.given.figures(), "refined": self.refined.figures(), "held_out": self.held_out}


_HOW = {
    "carried": "those of cameras.npz, carried along by the similarity that aligns the training views",
    "refined": "refined to their own photographs, with the finished surface as it is",
}


def align_run(run, scene: Scene, held_out: str = CARRIED) -> CameraAlignment:
    """Align a run's cameras with those of the scene's ``cameras.npz``, by the training views alone.

    Args:
        run: a loaded run.
        scene: as it was trained on, perhaps from another camera file.
        held_out: what is done for views that were held out of a run that moved the others (see ``held_out_cameras``).

    Raises:
        ConfigError: unknown ``held_out``; SceneError: ``cameras.npz`` cannot be read.
    """
    given = evaluate_cameras(scene.cameras.poses.numpy(), scene)
    refined = evaluate_cameras(run.cameras.poses.detach().cpu().numpy(), scene)
    cameras, how = run.cameras, None
    if _moved(run, scene, scene.train_views) and not _moved(run, scene, scene.heldout_views) and scene.heldout_views:
        cameras, how = held_out_cameras(run, scene, refined.similarity, held_out), held_out
    reference, scale_mat = reference_cameras(scene)
    reference = dataclasses.replace(scene, cameras=reference.to(scene.cameras.poses.dtype), scale_mat=scale_mat)
    return CameraAlignment(given, refined, cameras, how, refined.similarity.matrix() @ scene.scale_mat, reference)


def _moved(run, scene: Scene, views: list[int]) -> bool:
    own = run.cameras.poses[views].detach().cpu()
    return not torch.allclose(own, scene.cameras.poses[views].to(own), atol=_SAME)
