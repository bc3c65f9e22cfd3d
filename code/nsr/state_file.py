"""States of a training on disk: one file, written whole or not at all, and read without running code."""

from __future__ import annotations

import errno
import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from nsr.atomic import whole_file
from nsr.errors import CheckpointError

FORMAT = 1


def write_state(path: Path, state: dict) -> None:
    """Write nested dicts, lists, plain values and tensors.

    Raises:
        CheckpointError: the disk is full or the folder cannot be written; what was at ``path`` is untouched.
    """
    try:
        with whole_file(path) as partial:
            torch.save({"format": FORMAT, **state}, partial)
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its own writer.
        full = getattr(error, "errno", None) == errno.ENOSPC or shutil.disk_usage(path.parent).free < 1 << 20
        reason = "the disk is full" if full else str(error).splitlines()[0]
        raise CheckpointError(f"{path}: the checkpoint could not be written: {reason}") from error


def read_state(path: Path, device: torch.device | str = "cpu") -> dict:
    """Read what ``write_state`` wrote, its tensors onto a device.

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
