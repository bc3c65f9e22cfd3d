"""The command line: help, errors in one line, exit codes; and IDR's scripts, as real processes."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nsr.cli import evaluate, main as cli, train
from nsr.cli.device import choose_device
from nsr.cli.scene import SPEC_FLAGS, SPEC_SWITCHES
from nsr.cli.scene_sense import SENSOR_FLAGS, SENSOR_SWITCHES
from nsr.errors import NsrError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def nsr(capsys):
    """Call the command in this process; gives exit code, stdout and stderr."""

    def call(*arguments):
        try:
            code = cli.main(arguments)
        except SystemExit as stop:  # argparse's own errors and help
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def process(*arguments, cwd):
    """Run python with no PYTHONPATH, as a person does."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--conf", "none.conf"], "no conf none.conf: looked for "),
        (["train", "--conf", "confs/idr.conf", "--set", "train.stps=3"], "did you mean train.steps?"),
        (["train", "--conf", "confs/idr.conf", "--set", "train.steps=long"], "this key wants a whole number"),
        (["train", "here", "--conf", "confs/idr.conf", "--scan_id", "3"], "not both"),
        (["train", "here", "--checkpoint", "5"], "they need --is_continue"),
        (["train", "here", "--conf", "confs/idr.conf", "--gpu", "first"], "--gpu first: give auto, ignore or"),
        (["train", "nowhere", "--conf", "confs/idr.conf", "--gpu", "ignore"], "nowhere"),
        (["eval", "nowhere"], "nowhere: there is no such run folder"),
        (["eval", "nowhere", "--no_rendering", "--heldout_only"], "give one of them"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(nsr, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = nsr(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("nsr: error: ") and err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--steps", "0"],
        ["train", "--minutes", "inf"],
        ["train", "--steps", "5", "--minutes", "2"],
        ["train", "--nepoch", "2.5"],
        ["scene", "perturb", "here", "--translation", "nan"],
        ["scene"],
        ["brew"],
        [],
    ],
)
def test_wrong_arguments_are_argparse_errors(nsr, arguments):
    code, _, err = nsr(*arguments)
    assert code == 2
    assert "usage: nsr" in err and "Traceback" not in err


@pytest.mark.parametrize(
    "command",
    ["", *"train eval view mesh swap dtu chamfer compare pack scene doctor".split(), "scene make", "scene check"],
)
def test_help_of_every_command(nsr, command):
    code, out, _ = nsr(*command.split(), "--help")
    assert code == 0
    assert out.startswith(f"usage: nsr {command}".rstrip())


def test_interruption_full_disk_and_defects(capsys):
    def raising(error):
        def command():
            raise error

        return command

    assert cli.run(lambda: 0) == 0
    assert cli.run(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "nsr: interrupted\n"
    assert cli.run(raising(KeyboardInterrupt("stopped at step 3"))) == 130
    assert capsys.readouterr().err == "nsr: stopped at step 3\n"
    assert cli.run(raising(OSError(errno.ENOSPC, "No space left on device", "exps/a.pt"))) == 2
    with pytest.raises(ZeroDivisionError):
        cli.run(raising(ZeroDivisionError()))
    with pytest.raises(ConnectionResetError):
        cli.run(raising(ConnectionResetError(errno.ECONNRESET, "reset")))


def test_a_full_disk_is_named(capsys):
    def command():
        raise OSError(errno.ENOSPC, "No space left on device", "exps/a.pt")

    cli.run(command)
    assert capsys.readouterr().err == "nsr: error: the disk is full; free some space and run again: exps/a.pt\n"


def test_scene_check_exits_with_1_for_a_folder_that_is_no_scene(nsr, tmp_path):
    code, out, _ = nsr("scene", "check", str(tmp_path))
    assert code == 1
    assert "error: " in out


def test_a_scene_is_made_checked_and_perturbed(nsr, tmp_path):
    folder = tmp_path / "scene"
    size = ["--views", "6", "--height", "32", "--width", "40", "--supersampling", "1"]
    code, out, err = nsr("scene", "make", str(folder), "--shape", "sphere", *size)
    assert (code, err) == (0, "")
    assert "6 views of 40x32" in out
    code, out, _ = nsr("scene", "check", str(folder))
    assert code == 0 and "6 views checked" in out
    code, out, _ = nsr("scene", "perturb", str(folder), "--degrees", "2")
    assert code == 0 and (folder / "cameras_linear_init.npz").is_file()
    code, _, err = nsr("scene", "make", str(folder))
    assert code == 2 and "exists already" in err


def test_scene_make_offers_every_field_of_the_spec():
    from nsr.scenes.synthetic import SyntheticSpec

    offered = {*SPEC_FLAGS, *SPEC_SWITCHES, "relief", "lamp_place"}
    fields = {field.name for field in dataclasses.fields(SyntheticSpec)}
    assert fields - offered == {"world_offset", "sensors"}  # a recipe's; nsr scene sense has flags for the latter
    assert offered <= fields


def test_scene_sense_offers_every_field_of_the_sensors():
    from nsr.scenes.synthetic.sensors.spec import SensorSpec

    assert {*SENSOR_FLAGS, *SENSOR_SWITCHES} == {field.name for field in dataclasses.fields(SensorSpec)}


def test_scene_make_names_every_shape():
    from nsr.scenes.synthetic.shapes import SHAPES

    assert SPEC_FLAGS["shape"][1] == f"{', '.join(SHAPES)}, or a triangle mesh file"


def test_idr_flags_are_all_accepted():
    training = train.script_parser().parse_args(
        "--batch_size 2 --nepoch 10 --conf a.conf --expname _x --gpu 0 --is_continue --timestamp 2020 --checkpoint 5 "
        "--train_cameras --scan_id 65 --validation_slope_print".split()
    )
    assert (training.batch_size, training.nepoch, training.scan_id) == (2, 10, 65)
    evaluation = evaluate.script_parser().parse_args(
        "--conf a.conf --expname _x --exps_folder e --gpu ignore --timestamp 2020 --checkpoint latest --scan_id 65 "
        "--resolution 400 --is_uniform_grid --eval_cameras --eval_rendering".split()
    )
    assert (evaluation.resolution, evaluation.is_uniform_grid, evaluation.eval_cameras) == (400, True, True)


def test_devices(monkeypatch):
    assert choose_device("ignore") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(NsrError, match="--gpu 0: there is no such device; torch sees no CUDA device"):
        choose_device("0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: ([5, 9, 7][index], 10))
    assert choose_device("auto") == torch.device("cuda", 1)
    assert choose_device("2") == torch.device("cuda", 2)
    with pytest.raises(NsrError, match="the devices here are 0 to 2"):
        choose_device("3")


@pytest.mark.parametrize(
    ("script", "cwd", "conf"),
    [
        ("training/exp_runner.py", "code", "../confs/none.conf"),
        ("code/evaluation/eval.py", ".", "confs/none.conf"),
    ],
)
def test_idr_scripts_run_from_a_checkout(script, cwd, conf):
    result = process(script, "--conf", conf, cwd=ROOT / cwd)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"nsr: error: no conf {conf}: looked for {ROOT / 'confs' / 'none.conf'}")


def test_doctor_names_torch_and_the_devices(nsr):
    _, out, _ = nsr("doctor")
    assert f"torch                    {torch.__version__}" in out
    assert "cpu: " in out and "cuda" in out


def test_doctor_works_where_nothing_is_installed_and_says_what_is_missing():
    command = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'code')!r}); from nsr.cli.main import main; "
        "sys.exit(main(['doctor']))"
    )
    result = process("-S", "-c", command, cwd=ROOT)  # -S: without site-packages
    assert result.returncode == 1
    assert "MISSING: pip install torch" in result.stdout and "MISSING: pip install numpy" in result.stdout
