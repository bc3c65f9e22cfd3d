"""A trained run, as evaluation sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from nsr.config.reader import load_config
from nsr.config.schema import Config
from nsr.errors import CheckpointError, SceneError
from nsr.rendering.bounds import HullBounds
from nsr.rendering.model import build_renderer
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.training.checkpoints import load_checkpoint
from nsr.training.run_folder import LATEST, RUN_CONF, find_checkpoint

CAMERA_TOLERANCE = 1e-3  # of the largest number in the matrices
SEEN = ("view_dependent", "reflects")  # of a renderer: what colours see of directions at this point of the run


@dataclass
class Run:
    """A renderer with trained parameters, and how it came about.

    Attributes:
        folder: of the run; config: resolved; renderer: on the device asked for.
        cameras: of all views, in the normalised frame, refined where the run refined them.
        step: of the checkpoint; train_seconds: from the start of the process to this checkpoint.
        peak_memory_mb: of the training process.  Both are None where they were not recorded.
        progress: how far the encodings' levels are open, see ``Encoding.set_progress``.
    """

    folder: Path
    config: Config
    renderer: SurfaceRenderer
    cameras: Cameras
    step: int
    train_seconds: float | None
    peak_memory_mb: float | None
    progress: float = 1.0


def load_run(run_folder: Path | str, checkpoint: Path | str = LATEST, device: torch.device | str = "cpu") -> Run:
    """Load a run.

    Args:
        run_folder: with ``checkpoints/`` and the resolved conf.
        checkpoint: a checkpoint file, a step, or ``latest``.
        device: where the renderer goes.

    Raises:
        CheckpointError: no such checkpoint, a truncated one, or one of another model than the conf's.
    """
    folder = Path(run_folder)
    path = checkpoint if isinstance(checkpoint, Path) else find_checkpoint(folder, checkpoint)
    config = load_config(folder / RUN_CONF)
    state = load_checkpoint(path, device)
    renderer = build_renderer(config.model, has_background(state["renderer"])).to(device)
    restore_renderer(renderer, state["renderer"], path)
    cameras = Cameras(state["intrinsics"], state["poses"])
    figures = state["step"], state["train_seconds"], state["peak_memory_mb"], state["renderer"]["progress"]
    return Run(folder, config, renderer, cameras, *figures)


def require_scene_of(run: Run, scene: Scene) -> None:
    """Check that a scene is the one that a run was trained on, as far as the cameras tell.

    Raises:
        SceneError: it has another number of views, or, in runs that kept their cameras, other cameras in the frame of
            its unit sphere.
    """
    if len(scene) != len(run.cameras):
        raise SceneError(
            f"{scene.folder}: has {len(scene)} views, but the run was trained on a scene of {len(run.cameras)}; "
            "name the scene that it was trained on"
        )
    if run.config.train.train_cameras:
        return
    for matrices in ("poses", "intrinsics"):
        own, given = getattr(run.cameras, matrices), getattr(scene.cameras, matrices)
        given = given.to(own)
        if (own - given).abs().max() > CAMERA_TOLERANCE * given.abs().max():
            raise SceneError(
                f"{scene.folder}: its cameras or its unit sphere are not those that the run was trained with; name the "
                "scene that it was trained on, as it was then"
            )


def restore_renderer(renderer: SurfaceRenderer, state: dict, path: Path) -> None:
    """Load a renderer's state, whose numbers may be in half precision, with its bounds where it has some, and open all
    levels as they were.

    Raises:
        CheckpointError: names or shapes do not fit the model; the message names the first ones.
    """
    state = dict(state)
    margin = state.pop("bounds_margin", None)
    progress = state.pop("progress")
    seen = {name: state.pop(name, True) for name in SEEN}
    if margin is not None:
        renderer.set_bounds(HullBounds(state["bounds.grid"], margin))
    own = renderer.state_dict()
    wrong = [name for name in own if name not in state or own[name].shape != state[name].shape]
    wrong += [name for name in state if name not in own]
    if wrong:
        raise CheckpointError(
            f"{path}: the checkpoint is of another model than the conf describes; {len(wrong)} entries do not fit, "
            f"the first are {', '.join(wrong[:3])}"
        )
    renderer.load_state_dict(state)
    renderer.set_progress(progress)
    for name, value in seen.items():
        setattr(renderer, name, value)


def has_background(state: dict) -> bool:
    """Whether a renderer's state is of one with a background."""
    return any(name.startswith("background.") for name in state)


def renderer_state(renderer: SurfaceRenderer, progress: float) -> dict:
    """What ``restore_renderer`` reads."""
    state = {**renderer.state_dict(), "progress": progress, **{name: getattr(renderer, name) for name in SEEN}}
    if renderer.bounds is not None:
        state["bounds_margin"] = renderer.bounds.margin
    return state
