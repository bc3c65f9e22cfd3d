"""Runs small enough to give away: what evaluation reads of a checkpoint, without what only training needs."""

from __future__ import annotations

from pathlib import Path

import torch

from nsr.atomic import whole_folder
from nsr.config.reader import dump_config, load_config
from nsr.errors import CheckpointError
from nsr.training.checkpoints import load_checkpoint, save_checkpoint
from nsr.training.run_folder import CHECKPOINT_FOLDER, RUN_CONF

LARGE = 10_000  # numbers in a tensor from which it is kept in half precision: tables and bounds, not networks

_KEPT = ("step", "train_seconds", "peak_memory_mb", "intrinsics", "poses")


def pack_run(run_folder: str | Path, checkpoint: Path, destination: str | Path, data_dir: str) -> Path:
    """Copy a run's conf and one checkpoint, the latter without the states of optimisers and random numbers and with
    large tensors in half precision.

    ``nsr.training.run.load_run`` reads the copy as any run; training cannot continue from it.

    Args:
        run_folder: of the run; checkpoint: a checkpoint file of it.
        destination: of the copy, which appears whole or not at all.
        data_dir: of the scene, for the copy's conf: where the scene is found by those who get it.

    Returns:
        ``destination``.

    Raises:
        CheckpointError: the checkpoint cannot be read, or the destination has a run already.
        OSError: it cannot be written.
    """
    destination = Path(destination)
    if destination.exists():
        raise CheckpointError(f"{destination}: is there already; remove it, or pack into another folder")
    state = load_checkpoint(checkpoint)
    config = load_config(Path(run_folder) / RUN_CONF)
    config.dataset.data_dir = data_dir
    packed = {name: state[name] for name in _KEPT}
    packed["renderer"] = {name: _packed(value) for name, value in state["renderer"].items()}
    with whole_folder(destination) as partial:
        (partial / CHECKPOINT_FOLDER).mkdir()
        save_checkpoint(partial, state["step"], packed, latest=False)
        dump_config(config, partial / RUN_CONF)
    return destination


def _packed(value):
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.numel() < LARGE:
        return value
    return value.half()
