"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` (same suffix) that takes its place when the block ends without error.

    After an error, a full disk included, ``path`` is as it was before and the temporary file is gone.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` whose entries are moved to it when the block ends without error.

    ``folder`` may exist and keeps what else it holds; an entry that it has already must not be written again
    (``FileExistsError``).
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o777 & ~_umask())
        if not folder.exists():
            os.replace(partial, folder)
            return
        entries = sorted(partial.iterdir())
        for entry in entries:
            if (folder / entry.name).exists():
                raise FileExistsError(f"{folder / entry.name} exists already")
        for entry in entries:
            os.replace(entry, folder / entry.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    """The process's umask, which ``mkdtemp`` ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
