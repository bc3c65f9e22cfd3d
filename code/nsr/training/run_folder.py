"""Run folders: ``<exps>/<experiment>/<timestamp>/`` with ``checkpoints/``, ``plots/``, ``logs/`` and ``runconf.conf``.

As in IDR, an experiment is the conf's name and the scene's, each start is a new timestamp, and a continued run reads
an older timestamp's checkpoint and writes to a new one.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

from nsr.errors import CheckpointError

LATEST = "latest"
CHECKPOINT_FOLDER = "checkpoints"
CHECKPOINT_SUFFIX = ".pt"
IDR_MODEL_FOLDER = "ModelParameters"  # below it, where IDR's own checkpoints are
IDR_SUFFIX = ".pth"
PLOT_FOLDER = "plots"
LOG_FOLDER = "logs"
EVALUATION_FOLDER = "evaluation"
RUN_CONF = "runconf.conf"

_TIMESTAMP_FORMAT = "%Y_%m_%d_%H_%M_%S"
_TIMESTAMP = re.compile(r"\d{4}(_\d{2}){5}|\d{4}")  # IDR's published runs have a year for a name


def create_run_folder(experiment: str | Path) -> Path:
    """Make a new timestamped run folder with its sub-folders; two starts within a second get different ones.

    Raises:
        CheckpointError: it cannot be made there.
    """
    moment = datetime.datetime.now()
    try:
        Path(experiment).mkdir(parents=True, exist_ok=True)
        while True:
            run = Path(experiment) / moment.strftime(_TIMESTAMP_FORMAT)
            try:
                run.mkdir()
                break
            except FileExistsError:
                moment += datetime.timedelta(seconds=1)
        for name in (CHECKPOINT_FOLDER, PLOT_FOLDER, LOG_FOLDER):
            (run / name).mkdir()
    except OSError as error:
        raise CheckpointError(f"{experiment}: no run can be written there: {error.strerror or error}") from error
    return run


def checkpoint_path(run: str | Path, step: int | str = LATEST) -> Path:
    """Where the checkpoint of a step, or the latest one, is kept."""
    return Path(run) / CHECKPOINT_FOLDER / f"{step}{CHECKPOINT_SUFFIX}"


def list_runs(experiment: str | Path) -> list[Path]:
    """The run folders of an experiment, oldest first."""
    experiment = Path(experiment)
    if not experiment.is_dir():
        return []
    return sorted(path for path in experiment.iterdir() if path.is_dir() and _TIMESTAMP.fullmatch(path.name))


def find_run(folder: str | Path, timestamp: str = LATEST, *, begun: bool = False) -> Path:
    """A run folder with checkpoints.

    Args:
        folder: an experiment, a folder of experiments, or a run itself (then ``timestamp`` must be ``latest``, or its
            own).
        timestamp: a run's name, or ``latest``: the newest run that has a checkpoint.  A run that stopped before its
            first checkpoint is passed over, so that continuing after two crashes still finds what there is.
        begun: take a run that has no checkpoint yet as any other.

    Raises:
        CheckpointError: there is none; the message says what is there instead.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such run folder; train first, or check the experiment's name")
    if (folder / CHECKPOINT_FOLDER).is_dir():
        if timestamp not in (LATEST, folder.name):
            raise CheckpointError(f"{folder}: is a run itself; name its experiment to choose the run {timestamp}")
        return _usable(folder, begun)
    runs = list_runs(folder) or [run for experiment in folder.iterdir() for run in list_runs(experiment)]
    if timestamp != LATEST:
        matching = [run for run in runs if run.name == timestamp]
        if not matching:
            raise CheckpointError(f"{folder}: no run {timestamp}; there are: {_names(runs) or 'none'}")
        return _usable(matching[0], begun)
    usable = [run for run in runs if begun or has_checkpoint(run)]
    if not usable:
        raise CheckpointError(f"{folder}: no run with a checkpoint here" + (f" (runs: {_names(runs)})" if runs else ""))
    return max(usable, key=lambda run: run.name)


def has_checkpoint(run: str | Path) -> bool:
    """Whether a run has got as far as its first checkpoint, ours or IDR's."""
    return bool(_checkpoints(Path(run)))


def find_checkpoint(run: str | Path, checkpoint: str | int = LATEST) -> Path:
    """The checkpoint file of a run, ours or IDR's: ``latest``, or the one numbered ``checkpoint`` (a step; an epoch).

    ``latest`` falls back on the highest number where only numbered ones are left.

    Raises:
        CheckpointError: there is none of that number; the message lists those there are.
    """
    run = Path(run)
    for path in (checkpoint_path(run, checkpoint), run / CHECKPOINT_FOLDER / IDR_MODEL_FOLDER / f"{checkpoint}.pth"):
        if path.is_file():
            return path
    numbered = {int(file.stem): file for file in _checkpoints(run) if file.stem.isdecimal()}
    if str(checkpoint) == LATEST and numbered:
        return numbered[max(numbered)]
    if str(checkpoint).isdecimal() and int(checkpoint) in numbered:
        return numbered[int(checkpoint)]
    there = ", ".join([*map(str, sorted(numbered)), *(file.stem for file in _checkpoints(run) if file.stem == LATEST)])
    raise CheckpointError(f"{run}: no checkpoint {checkpoint}; there are: {there or 'none'}")


def _checkpoints(run: Path) -> list[Path]:
    folder = run / CHECKPOINT_FOLDER
    files = [*folder.glob(f"*{CHECKPOINT_SUFFIX}"), *(folder / IDR_MODEL_FOLDER).glob(f"*{IDR_SUFFIX}")]
    return [file for file in files if file.stem == LATEST or file.stem.isdecimal()]


def _usable(run: Path, begun: bool) -> Path:
    if not begun and not has_checkpoint(run):
        raise CheckpointError(f"{run}: this run has no checkpoint; it has not come to its first one, or stopped before")
    return run


def _names(runs: list[Path]) -> str:
    return ", ".join(run.name for run in runs)
