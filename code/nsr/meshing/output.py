"""Trying a folder before the work, and one line for whatever the disk refuses."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nsr.errors import NsrError


@contextlib.contextmanager
def writing_to(folder: str | Path, what: str) -> Iterator[None]:
    """Make the folder and try it, before minutes of work; turn what the disk refuses into one line.

    Args:
        what: is written, for the message: "the evaluation".

    Raises:
        NsrError: the folder cannot be made or written, then or later in the block.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        yield
    except OSError as error:
        raise NsrError(f"cannot write {what} to {folder}: {error.strerror or error}") from error
