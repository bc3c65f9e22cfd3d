"""Checkpoints: one file with every state, written whole or not at all."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from nsr.atomic import whole_file
from nsr.errors import CheckpointError
from nsr.training.run_folder import LATEST, checkpoint_path

FORMAT = 1


def save_checkpoint(run_folder: Path, step: int, state: dict, *, latest: bool = True) -> Path:
    """Write the state as the numbered checkpoint of ``step`` and, unless told otherwise, as the latest one.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; earlier checkpoints are untouched.
    """
    numbered = checkpoint_path(run_folder, step)
    try:
        with whole_file(numbered) as partial:
            torch.save({"format": FORMAT, **state}, partial)
        if not latest:
            return numbered
        with whole_file(checkpoint_path(run_folder, LATEST)) as partial:
            try:
                os.link(numbered, partial)
            except OSError:  # a file system without hard links
                shutil.copyfile(numbered, partial)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its own writer.
        full = getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(run_folder).free < 1 << 20
        reason = "the disk is full" if full else str(error).splitlines()[0]
        raise CheckpointError(f"{numbered}: the checkpoint could not be written: {reason}") from error
    return numbered


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict:
    """Read a checkpoint's state onto a device.

    Raises:
        CheckpointError: the file is missing, truncated, or no checkpoint of this project.
    """
    try:
        with path.open("rb") as file:
            # What is no archive at all would go to torch's reader of old formats, which may raise anything.
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile("no archive")
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such checkpoint") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path}: the checkpoint cannot be read (truncated, or not a checkpoint); take another with --checkpoint"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: this is no checkpoint of this program (format {FORMAT})")
    return state
