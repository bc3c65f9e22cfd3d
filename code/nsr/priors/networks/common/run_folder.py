"""Run folders: ``<output>/<family>/<name>/``.

A run holds ``best.pt`` and ``final.pt``, the newest numbered ``epoch_NNNN.pt``, ``training.csv``, ``loss.png``, the
TensorBoard ``logs/`` and, for each set that it was tested on, ``test_<data>/``.
"""

from __future__ import annotations

from pathlib import Path

from nsr.errors import CheckpointError
from nsr.priors.networks.common.options import SHIPPED

FINAL, BEST = "final.pt", "best.pt"
TABLE, CURVE, LOGS = "training.csv", "loss.png", "logs"
_REPOSITORY = Path(__file__).resolve().parents[5]
_PACKAGE = Path(__file__).resolve().parents[3]


def run_folder(output: str | Path, family: str, name: str) -> Path:
    return Path(output) / family / name


def numbered(run: Path, epoch: int) -> Path:
    return run / f"epoch_{epoch:04d}.pt"


def keep_newest(run: Path, count: int) -> None:
    """Remove all numbered checkpoints but the newest ``count``."""
    for path in sorted(run.glob("epoch_*.pt"), reverse=True)[max(count, 0) :]:
        path.unlink()


def find_checkpoint(output: str | Path, family: str, name: str | None, which: str = "best") -> Path:
    """The checkpoint to use.

    Args:
        name: of the run, ``shipped``, or None for the newest run and, where there is none, what ships.
        which: ``best``, ``final``, an epoch's number, or a checkpoint's file.

    Raises:
        CheckpointError: there is none; the message lists what there is.
    """
    if Path(which).suffix:
        return Path(which)
    parent = Path(output) / family
    runs = sorted((path.parent for path in parent.glob(f"*/{FINAL}")), key=lambda run: (run / FINAL).stat().st_mtime)
    if name == SHIPPED or (name is None and not runs):
        if which != "best":
            raise CheckpointError(f"{family}: what ships is a best checkpoint alone; leave out --checkpoint {which}")
        return shipped(family)
    run = parent / name if name else runs[-1]
    there = ", ".join(sorted(found.name for found in runs)) or "none"
    if not run.is_dir():
        raise CheckpointError(f"{run}: there is no such run of {family}; there are: {there}")
    path = numbered(run, int(which)) if which.isdecimal() else run / f"{which}.pt"
    if not path.is_file():
        held = ", ".join(sorted(found.stem for found in run.glob("*.pt"))) or "none"
        raise CheckpointError(f"{run}: there is no checkpoint {which}; there are: {held}")
    return path


def shipped(family: str) -> Path:
    """The checkpoint of a family that comes with the project, from a checkout or an installed package.

    Raises:
        CheckpointError: none does.
    """
    for path in shipped_files(family):
        if path.is_file():
            return path
    raise CheckpointError(
        f"no checkpoint of {family} comes with this installation; make one with: nsr prior train {family}"
    )


def shipped_files(family: str) -> list[Path]:
    """Where the checkpoint of a family may lie that comes with the project."""
    return [root / "trained_models" / family / BEST for root in (_REPOSITORY, _PACKAGE)]
