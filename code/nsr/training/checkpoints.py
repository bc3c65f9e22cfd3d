"""Checkpoints: one file with every state, written whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from nsr.atomic import whole_file
from nsr.errors import CheckpointError
from nsr.state_file import read_state, write_state
from nsr.training.run_folder import LATEST, checkpoint_path


def save_checkpoint(run_folder: Path, step: int, state: dict, *, latest: bool = True) -> Path:
    """Write the state as the numbered checkpoint of ``step`` and, unless told otherwise, as the latest one.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; earlier checkpoints are untouched.
    """
    numbered = checkpoint_path(run_folder, step)
    write_state(numbered, state)
    if not latest:
        return numbered
    try:
        with whole_file(checkpoint_path(run_folder, LATEST)) as partial:
            try:
                os.link(numbered, partial)
            except OSError:  # a file system without hard links
                shutil.copyfile(numbered, partial)
    except OSError as error:
        raise CheckpointError(f"{numbered}: the checkpoint could not be written: {error}") from error
    return numbered


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict:
    """Read a checkpoint's state onto a device.

    Raises:
        CheckpointError: the file is missing, truncated, or no checkpoint of this project.
    """
    return read_state(path, device)
