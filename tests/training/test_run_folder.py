"""Run folders and checkpoints are found by timestamp and number."""

import re

import pytest

from nsr.errors import CheckpointError
from nsr.training.run_folder import (
    checkpoint_path,
    create_run_folder,
    find_checkpoint,
    find_run,
    has_checkpoint,
    list_runs,
)


def run_with(experiment, name, *checkpoints):
    for checkpoint in checkpoints:
        path = checkpoint_path(experiment / name, checkpoint)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (experiment / name / "checkpoints").mkdir(parents=True, exist_ok=True)
    return experiment / name


def test_new_runs_never_share_a_folder(tmp_path):
    runs = [create_run_folder(tmp_path / "e") for _ in range(3)]
    assert len(set(runs)) == 3
    assert list_runs(tmp_path / "e") == sorted(runs)
    for run in runs:
        assert re.fullmatch(r"\d{4}_\d{2}_\d{2}_\d{2}_\d{2}_\d{2}", run.name)
        assert sorted(path.name for path in run.iterdir()) == ["checkpoints", "logs", "plots"]


def test_a_place_that_takes_no_run_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file.e: no run can be written there: Not a directory"):
        create_run_folder(tmp_path / "file" / "e")
    with pytest.raises(CheckpointError, match="file: no run can be written there: File exists"):
        create_run_folder(tmp_path / "file")


def test_latest_is_the_newest_run_that_has_a_checkpoint(tmp_path):
    experiment = tmp_path / "exps" / "idr_65"
    old = run_with(experiment, "2024_01_01_00_00_00", 10, "latest")
    new = run_with(experiment, "2024_01_02_00_00_00", 20, "latest")
    begun = run_with(experiment, "2024_01_03_00_00_00")
    (experiment / "notes").mkdir()
    assert find_run(experiment) == new
    assert find_run(experiment, begun=True) == find_run(begun, begun=True) == begun
    assert has_checkpoint(new) and not has_checkpoint(begun)
    assert find_run(experiment, old.name) == old
    assert find_run(old) == old
    assert find_run(tmp_path / "exps") == new


def test_what_is_missing_is_named(tmp_path):
    run_with(tmp_path / "e", "2024_01_01_00_00_00")
    with pytest.raises(CheckpointError, match="no run with a checkpoint here .runs: 2024_01_01_00_00_00"):
        find_run(tmp_path / "e")
    with pytest.raises(CheckpointError, match="no run 2023.*there are: 2024_01_01_00_00_00"):
        find_run(tmp_path / "e", "2023_01_01_00_00_00")
    with pytest.raises(CheckpointError, match="no checkpoint; it has not come to its first one, or stopped before"):
        find_run(tmp_path / "e", "2024_01_01_00_00_00")
    run = run_with(tmp_path / "f", "2024_01_01_00_00_00", 5)
    assert find_run(run, run.name) == run
    with pytest.raises(CheckpointError, match="is a run itself; name its experiment to choose the run 2023"):
        find_run(run, "2023_01_01_00_00_00")
    with pytest.raises(CheckpointError, match="no such run folder"):
        find_run(tmp_path / "none")


def test_checkpoints_by_number_and_latest(tmp_path):
    run = run_with(tmp_path, "2024_01_01_00_00_00", 5, 100, "latest")
    assert find_checkpoint(run).name == "latest.pt"
    assert find_checkpoint(run, "100").name == find_checkpoint(run, 100).name == "100.pt"
    with pytest.raises(CheckpointError, match="no checkpoint 7; there are: 5, 100, latest"):
        find_checkpoint(run, 7)
    checkpoint_path(run).unlink()
    assert find_checkpoint(run).name == "100.pt"
