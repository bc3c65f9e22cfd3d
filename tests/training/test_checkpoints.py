"""Checkpoints are whole or not there, and say what is wrong with them."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from nsr.errors import CheckpointError
from nsr.training.checkpoints import load_checkpoint, save_checkpoint
from nsr.training.run_folder import checkpoint_path, find_checkpoint


def state(value):
    return {"step": value, "renderer": {"a": torch.full((1000,), float(value))}}


def names(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_numbered_and_latest_hold_the_same(tmp_path):
    assert save_checkpoint(tmp_path, 7, state(7)) == checkpoint_path(tmp_path, 7)
    save_checkpoint(tmp_path, 9, state(9))
    assert names(tmp_path) == ["7.pt", "9.pt", "latest.pt"]
    assert load_checkpoint(find_checkpoint(tmp_path))["step"] == 9
    loaded = load_checkpoint(find_checkpoint(tmp_path, 7))
    assert loaded["step"] == 7 and torch.equal(loaded["renderer"]["a"], torch.full((1000,), 7.0))


def test_file_systems_without_hard_links_get_copies(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    save_checkpoint(tmp_path, 3, state(3))
    assert load_checkpoint(checkpoint_path(tmp_path))["step"] == 3
    assert checkpoint_path(tmp_path).stat().st_nlink == 1


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")])
def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch, error):
    save_checkpoint(tmp_path, 1, state(1))

    def half(_, path):
        path.write_bytes(b"half a checkpoint")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(
        CheckpointError, match="2.pt: the checkpoint could not be written: (the disk is full|unexpected)"
    ) as told:
        save_checkpoint(tmp_path, 2, state(2))
    assert "\n" not in str(told.value)
    assert names(tmp_path) == ["1.pt", "latest.pt"]
    assert load_checkpoint(find_checkpoint(tmp_path))["step"] == 1


def test_a_process_killed_while_it_writes_leaves_the_older_checkpoint(tmp_path):
    script = f"""
import os, pathlib, signal, torch
from nsr.training.checkpoints import save_checkpoint
run = pathlib.Path({str(tmp_path)!r})
save_checkpoint(run, 1, {{"step": 1}})
whole = torch.save
def half(state, path):
    whole(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
torch.save = half
save_checkpoint(run, 2, {{"step": 2}})
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == -signal.SIGKILL
    assert load_checkpoint(find_checkpoint(tmp_path))["step"] == 1
    with pytest.raises(CheckpointError, match="no checkpoint 2; there are: 1, latest"):
        find_checkpoint(tmp_path, 2)


def test_a_truncated_file_is_told_in_one_line(tmp_path):
    path = save_checkpoint(tmp_path, 1, state(1))
    data = path.read_bytes()
    for length in (0, 1, 30, len(data) // 2, len(data) - 30):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"1\.pt: the checkpoint cannot be read \(truncated") as told:
            load_checkpoint(path)
        assert "\n" not in str(told.value)


def test_other_files_are_no_checkpoints(tmp_path):
    path = tmp_path / "x.pt"
    with pytest.raises(CheckpointError, match="there is no such checkpoint"):
        load_checkpoint(path)
    path.write_text("step: 3\n")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)
    for content in ({"step": 1}, {"format": 99}, [1, 2], torch.zeros(3)):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="no checkpoint of this program"):
            load_checkpoint(path)


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Command:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    torch.save({"format": 1, "step": Command()}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "x.pt")
    assert not (tmp_path / "owned").exists()
