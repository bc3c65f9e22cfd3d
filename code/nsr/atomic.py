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
def whole_folder(folder: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` whose entries are moved to it when the block ends without error.

    ``folder`` may exist and keeps what else it holds; an entry that it has already must not be written again
    (``FileExistsError``), unless ``replace`` is set: files take the place of others then.
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
        for entry in () if replace else entries:
            if (folder / entry.name).exists():
                raise FileExistsError(f"{folder / entry.name} exists already")
        for entry in entries:
            os.replace(entry, folder / entry.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def replaced_folder(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder`` that takes its place, with all that it holds, when the block ends
    without error; else ``folder`` stays as it was."""
    folder = Path(folder)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.old-", dir=_made(folder.parent)) as old:
        with whole_folder(folder) as partial:
            yield partial
            if folder.exists():
                os.replace(folder, Path(old) / folder.name)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _umask() -> int:
    """The process's umask, which ``mkdtemp`` ignores."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
