"""A run's newest checkpoint, followed while the training goes on; nothing of the run is ever written."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from nsr.errors import NsrError
from nsr.training.logs import CSV_FILE
from nsr.training.run import Run
from nsr.training.run_folder import LATEST, LOG_FOLDER, checkpoint_path

_TAIL = 4096  # bytes of the log's end that hold its last line


class RunFollower:
    """Loads a run again whenever its latest checkpoint is another file than before.

    Args:
        folder: of the run.
        run: as it was loaded first; None: it has no checkpoint yet.
        load: gives the run with its newest checkpoint; None: it stays at the one it has.
    """

    def __init__(self, folder: Path, run: Run | None, load: Callable[[], Run] | None):
        self.folder, self.run, self.load = folder, run, load
        self.latest = checkpoint_path(folder, LATEST)
        self.seen = self._identity() if run is not None else None
        self.problem: str | None = None  # why the newest checkpoint could not be loaded, one line

    def refresh(self) -> bool:
        """Load what is new; True where ``run`` is another one now.

        A checkpoint that cannot be loaded leaves ``run`` as it is, and ``problem`` says why.
        """
        identity = self._identity()
        if self.load is None or identity is None or identity == self.seen:
            return False
        self.seen = identity
        try:
            self.run = self.load()
        except NsrError as error:
            self.problem = str(error)
            return False
        self.problem = None
        return True

    def progress(self) -> str:
        """The training's last logged step and PSNR (dB) of its rays, as a line; empty where there is no log."""
        row = self._last_row()
        if row is None:
            return ""
        psnr = f", PSNR {float(row['psnr']):.1f} dB" if row.get("psnr") else ""
        return f"training logged step {int(float(row['step'])):,}{psnr}"

    def _identity(self) -> tuple[int, int, int] | None:
        """Of the latest checkpoint's file: checkpoints are replaced whole, never written over."""
        try:
            status = self.latest.stat()
        except FileNotFoundError:  # a run with numbered checkpoints alone, or one of IDR's
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _last_row(self) -> dict[str, str] | None:
        path = self.folder / LOG_FOLDER / CSV_FILE
        if not path.is_file():
            return None
        with path.open("rb") as file:
            names = file.readline()
            file.seek(max(len(names), file.seek(0, 2) - _TAIL))
            whole = file.read().rpartition(b"\n")[0].splitlines()  # what is being written just now has no end yet
        if not whole:
            return None
        return next(csv.DictReader([names.decode(), whole[-1].decode()]))
