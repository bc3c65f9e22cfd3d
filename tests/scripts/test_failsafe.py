"""The restart launchers, run with a command that fails as often as it is told to."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# Appends its arguments to a log, then exits with the next code of the plan (the last one for ever).
FAKE = """
import pathlib, sys
log, plan = pathlib.Path(sys.argv[1]), sys.argv[2].split(",")
tries = len(log.read_text().splitlines()) if log.exists() else 0
log.open("a").write(" ".join(sys.argv[3:]) + "\\n")
sys.exit(int(plan[min(tries, len(plan) - 1)]))
"""


@pytest.fixture
def launch(tmp_path):
    """Run a launcher whose command exits with ``plan``; gives its result and the arguments of every try."""
    fake, log = tmp_path / "fake.py", tmp_path / "log"
    fake.write_text(FAKE)

    def run(script, plan, *arguments):
        command = " ".join(map(shlex.quote, [sys.executable, str(fake), str(log), plan]))
        environment = {**os.environ, "FAILSAFE_COMMAND": command, "FAILSAFE_WAIT": "0"}
        result = subprocess.run(
            ["bash", SCRIPTS / script, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        return result, log.read_text().splitlines() if log.exists() else []

    return run


FIXED = "--conf ../confs/embedder_conf_var/PosEnc/dtu_fixed_cameras.conf"


def test_a_training_that_crashes_twice_goes_on_from_its_checkpoint(launch):
    result, tries = launch("run_training_failsafe.sh", "1,139,0", "--scan_id", "65", "--", "--steps", "9")
    assert result.returncode == 0
    first = f"{FIXED} --scan_id 65 --steps 9"
    assert tries == [first, f"{first} --is_continue", f"{first} --is_continue"]
    assert "exit code 1 in try 1 of 5" in result.stderr and "exit code 139 in try 2 of 5" in result.stderr


def test_tries_are_bounded_and_the_last_exit_code_is_kept(launch):
    result, tries = launch("run_training_failsafe.sh", "7", "--max_tries", "3")
    assert (result.returncode, len(tries)) == (7, 3)
    assert "gave up after 3 tries" in result.stderr


@pytest.mark.parametrize("code", [2, 130])
def test_permanent_errors_and_interruption_stop_at_once(launch, code):
    result, tries = launch("run_training_failsafe.sh", str(code))
    assert (result.returncode, len(tries)) == (code, 1)


def test_trained_cameras_and_continuing_from_the_start(launch):
    result, tries = launch("run_training_failsafe.sh", "1,0", "--trainable_cameras", "--is_continue", "--exp", "FFB")
    conf = "--conf ../confs/embedder_conf_var/FFB/dtu_trained_cameras.conf"
    assert result.returncode == 0
    assert tries == [f"{conf} --train_cameras --is_continue"] * 2


def test_evaluation_is_repeated_as_it_was(launch, tmp_path):
    conf = tmp_path / "own.conf"
    conf.write_text("")
    result, tries = launch("run_evaluation_failsafe.sh", "1,0", "--exp", "own.conf", "--eval_rendering")
    assert result.returncode == 0
    assert tries == [f"--conf {conf} --eval_rendering"] * 2


@pytest.mark.parametrize("arguments", [["--max_tries", "many"], ["--max_tries"], ["--colour"], ["--max_tries", "0"]])
@pytest.mark.parametrize("script", ["run_training_failsafe.sh", "run_evaluation_failsafe.sh"])
def test_wrong_arguments_are_refused_before_anything_runs(launch, script, arguments):
    result, tries = launch(script, "0", *arguments)
    assert (result.returncode, tries) == (2, [])
    assert result.stderr.startswith("failsafe: ")


def test_every_powershell_launcher_takes_the_same_flags_as_its_bash_twin():
    for script in ("run_training_failsafe", "run_evaluation_failsafe"):
        bash = (SCRIPTS / f"{script}.sh").read_text()
        powershell = (SCRIPTS / f"{script}.ps1").read_text()
        flags = {
            line.split(")")[0].strip(" -") for line in bash.splitlines() if line.startswith("    --") and ")" in line
        }
        named = {flag for flag in flags if flag and not flag.startswith(("help", ")"))}
        assert {"exp", "trainable_cameras", "scan_id", "max_tries"} <= named
        assert all(f"${flag} " in powershell or f"${flag}," in powershell for flag in named)
