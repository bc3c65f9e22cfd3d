"""Runs in IDR's own format: its published models, and whatever its code has trained.

``<experiment>/<timestamp>/checkpoints/ModelParameters/<epoch>.pth`` holds ``epoch`` and ``model_state_dict``, and
beside it, for runs that refined their cameras, ``CamParameters/<epoch>.pth`` the ``pose_vecs_state_dict`` with one row
(w, x, y, z, centre) per view.
"""

from __future__ import annotations

from pathlib import Path

import torch

from nsr.config.schema import Config
from nsr.errors import CheckpointError
from nsr.fields.positional import PositionalEncoding
from nsr.rendering.model import build_renderer
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.run import Run
from nsr.training.run_folder import IDR_MODEL_FOLDER, IDR_SUFFIX

_CAMERA_FOLDER = "CamParameters"
_PREFIXES = {"implicit_network.": "sdf.", "rendering_network.": "radiance."}
_SHOWN = 4


def is_idr_checkpoint(path: Path) -> bool:
    """Whether a checkpoint file is in IDR's format, by its name and place."""
    return path.suffix == IDR_SUFFIX and path.parent.name == IDR_MODEL_FOLDER


def load_idr_run(
    folder: Path | str, checkpoint: Path, config: Config, cameras: Cameras, device: torch.device | str = "cpu"
) -> Run:
    """Load a run of IDR.

    Args:
        folder: the run's.
        checkpoint: its model file; cameras of the same epoch are read where there are any.
        config: with IDR's networks (``confs/idr.conf``, or the conf that it was trained with).
        cameras: of the scene it was trained on: the intrinsics, and the poses of runs that did not refine them.
        device: where the renderer goes.

    Returns:
        the run; ``step`` is its epoch, and what IDR does not record (time, memory) is None.

    Raises:
        CheckpointError: a file cannot be read, or its names and shapes do not fit the conf's networks or the scene's
            number of views; the message says which do not.
    """
    state = _read(checkpoint, "model_state_dict")
    renderer = build_renderer(config.model)
    renderer.load_state_dict(_translated(state["model_state_dict"], renderer, checkpoint))
    renderer.set_progress(1.0)
    camera_file = checkpoint.parent.parent / _CAMERA_FOLDER / checkpoint.name
    if camera_file.is_file():
        cameras = _refined(cameras, camera_file)
    cameras = Cameras(cameras.intrinsics.float(), cameras.poses.float()).to(device)
    return Run(Path(folder), config, renderer.to(device), cameras, int(state["epoch"]), None, None)


def _read(path: Path, key: str) -> dict:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader of old files raises whatever it trips over
        raise CheckpointError(f"{path}: not a checkpoint of IDR, or damaged; copy it again") from error
    if not isinstance(state, dict) or not isinstance(state.get(key), dict) or "epoch" not in state:
        raise CheckpointError(f"{path}: a checkpoint of IDR holds 'epoch' and '{key}'; this file does not")
    return state


def _translated(given: dict, renderer: SurfaceRenderer, path: Path) -> dict:
    """IDR's parameters under this project's names; every one must be there, fit and be used."""
    own = renderer.state_dict()
    names = {_own_name(name): name for name in given}
    missing = [_idr_name(name) for name in own if name not in names]
    surplus = [name for own_name, name in names.items() if own_name not in own]
    shapes = [
        f"{name} is {_shape(given[name])}, the conf's {_shape(own[own_name])}"
        for own_name, name in names.items()
        if own_name in own and given[name].shape != own[own_name].shape
    ]
    problems = [
        f"{len(found)} {what}: {', '.join(found[:_SHOWN])}" + (", ..." if len(found) > _SHOWN else "")
        for found, what in ((missing, "missing"), (surplus, "not in the conf's model"), (shapes, "of another shape"))
        if found
    ]
    if problems:
        raise CheckpointError(
            f"{path}: the checkpoint is of another model than the conf describes; {'; '.join(problems)}"
        )
    state = {own_name: given[name].float() for own_name, name in names.items()}
    _turn_view_directions(state, renderer)
    return state


def _turn_view_directions(state: dict, renderer: SurfaceRenderer) -> None:
    """IDR's radiance network is given directions from the point to the camera, ours from the camera to the point: an
    odd channel of their encoding (x itself, the sines) changes its sign, and so its weights must."""
    encoding = renderer.radiance.view_encoding
    if encoding is None:
        return
    if not isinstance(encoding, PositionalEncoding):
        raise CheckpointError("checkpoints of IDR have a positional encoding of the view directions; so must the conf")
    direction = torch.ones(1, 3)
    odd = torch.isclose(encoding(direction), -encoding(-direction)).squeeze(0)
    start = renderer.radiance.position_encoding.channels if renderer.radiance.position_encoding else 3
    name = "radiance.lin0.weight_v" if "radiance.lin0.weight_v" in state else "radiance.lin0.weight"
    weight = state[name].clone()
    columns = weight[:, start : start + encoding.channels]
    columns[:, odd] = -columns[:, odd]
    state[name] = weight


def _refined(cameras: Cameras, path: Path) -> Cameras:
    vectors = _read(path, "pose_vecs_state_dict")["pose_vecs_state_dict"].get("weight")
    if vectors is None or vectors.shape != (len(cameras), 7):
        found = "no table 'weight'" if vectors is None else f"a table of {_shape(vectors)}"
        raise CheckpointError(f"{path}: has {found}; the scene's {len(cameras)} views need one of {len(cameras)} x 7")
    trainable = TrainableCameras(cameras)
    trainable.vectors.weight.data.copy_(vectors)
    return trainable.current()


def _own_name(name: str) -> str:
    for theirs, ours in _PREFIXES.items():
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def _idr_name(name: str) -> str:
    for theirs, ours in _PREFIXES.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"
