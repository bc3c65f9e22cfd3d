"""How far a run is, and what it needed."""

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

import nsr
from nsr.config.schema import TrainConfig
from nsr.errors import ConfigError, NsrError
from nsr.training.clock import Clock, peak_memory_mb

CODE = Path(__file__).resolve().parents[2] / "code"


def test_progress_by_steps():
    clock = Clock(TrainConfig(steps=4))
    clock.step = 3
    assert clock.progress == 0.75 and not clock.finished
    clock.step = 4
    assert clock.finished


def test_progress_by_time_counts_what_was_spent_before_a_resume():
    clock = Clock(TrainConfig(steps=1, minutes=1000.0))
    clock.step = 10**6
    assert clock.progress < 0.5
    clock.spent_before = 60_000.0
    assert clock.finished


def test_progress_begins_with_the_training_and_ends_on_time(monkeypatch):
    monkeypatch.setattr(nsr, "STARTED", time.monotonic())
    clock = Clock(TrainConfig(minutes=1000.0))
    clock.spent_before = 30_000.0
    clock.start()
    assert clock.progress < 0.01
    clock.spent_before = 45_000.0
    assert clock.progress == pytest.approx(0.5, abs=0.01)
    clock.step = 1
    clock.start()  # a continued run
    assert clock.progress == pytest.approx(0.5, abs=0.01)
    clock.spent_before = 60_000.0
    assert clock.finished


def test_getting_ready_for_longer_than_the_run_is_told(monkeypatch):
    monkeypatch.setattr(nsr, "STARTED", time.monotonic())
    clock = Clock(TrainConfig(minutes=1.0))
    clock.spent_before = 61.0
    with pytest.raises(NsrError, match="getting ready took 61 s, longer than the run was to be; give --minutes more"):
        clock.start()
    clock.step = 5
    clock.start()  # a continued run has something to show
    assert clock.finished


def test_a_run_without_a_length_is_refused():
    with pytest.raises(ConfigError, match="train.steps is 0; it must be at least 1"):
        Clock(TrainConfig(steps=0))


def test_peak_memory_grows_with_what_is_held():
    code = (
        "from nsr.training.clock import peak_memory_mb; before = peak_memory_mb(); held = b'1' * 200_000_000; "
        "print(before, peak_memory_mb())"
    )
    # Linux counts what a process was forked from as its own peak; a shell in between is small.
    shell = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, code]
    before, after = map(
        float, subprocess.run(shell, cwd=CODE, capture_output=True, text=True, check=True).stdout.split()
    )
    assert after - before == pytest.approx(200e6 / 2**20, abs=30)


def test_peak_memory_is_unknown_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(peak_memory_mb())
