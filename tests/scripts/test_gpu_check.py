"""The check of a machine with a GPU, as far as a machine without one can tell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "gpu_check.sh"


def run(*arguments, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.skipif(torch.cuda.is_available(), reason="here the check would run")
def test_without_a_gpu_it_says_so_before_anything_runs():
    done = run()
    assert done.returncode == 2 and "no torch that sees a GPU" in done.stderr and done.stdout == ""


def test_wrong_arguments_are_named(tmp_path):
    done = run("--fast")
    assert done.returncode == 2 and "unknown argument --fast" in done.stderr
    done = run("--dry-run", SCENE=str(tmp_path / "none"))
    assert done.returncode == 2 and "is no folder" in done.stderr


def test_when_the_time_is_over_the_table_still_comes_and_names_what_is_missing():
    done = run("--dry-run", SECONDS_ALL="1")
    assert done.returncode == 1
    titles = ("operators built and loaded", "GPU tests", "training step", "search for the surface", "hash encoding")
    for title in (*titles, "filter bank"):
        assert f"| {title} | not run: the time is over | | |" in done.stdout
    assert "# GPU check" in done.stdout and "a real scan | not measured" in done.stdout
    assert "is missing" not in done.stderr or "going on without" in done.stderr
