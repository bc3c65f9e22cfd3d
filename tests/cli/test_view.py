"""``nsr view`` as a process, and what it says when it cannot."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from nsr.cli import main as cli

pytest.importorskip("viser", reason="the viewer's library is not installed")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run_folder(_sphere_scene_master, tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    small = ["train.num_pixels=64", "train.init=sphere", "train.plot_freq=0", "model.implicit_network.dims=[32,32]",
             "model.implicit_network.skip_in=[]", "model.rendering_network.dims=[16]"]  # fmt: skip
    settings = [part for setting in small for part in ("--set", setting)]
    arguments = ["--conf", "confs/idr.conf", "--steps", "2", "--gpu", "ignore", "--exps_folder", str(folder / "exps")]
    assert cli.main(["train", str(_sphere_scene_master), *arguments, *settings]) == 0
    return next(path for path in (folder / "exps").glob("*/*") if path.is_dir())


@pytest.mark.parametrize("begun", [False, True], ids=["trained", "before its first checkpoint"])
def test_it_serves_until_ctrl_c_and_leaves_the_run_alone(run_folder, tmp_path, begun):
    if begun:
        run_folder = Path(shutil.copytree(run_folder, tmp_path / "exps" / run_folder.parent.name / run_folder.name))
        for path in (run_folder / "checkpoints").iterdir():
            path.unlink()
    before = {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")}
    process = subprocess.Popen(
        [sys.executable, "-m", "nsr.cli.main", "view", str(run_folder.parent), "--port", "0", "--gpu", "ignore",
         "--resolution", "16"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "code")}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "open http" in line:
                break
        assert any("no checkpoint yet" in line for line in lines) == begun
        address = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        page = urllib.request.urlopen(address, timeout=60).read()
        assert b"<html" in page and len(page) > 10_000
    finally:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")} == before


def test_errors_are_one_line(run_folder, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = str(taken.getsockname()[1])
        for arguments, message in (
            ([str(run_folder), "--port", port], "the port is taken; give another with --port"),
            ([str(run_folder), "--port", "0", "--host", "192.0.2.1"], "this is no address of this machine"),
            ([str(run_folder.parent.parent / "nothing")], "no such run folder"),
            ([str(run_folder), "--checkpoint", "77"], "no checkpoint 77"),
        ):
            assert cli.main(["view", *arguments, "--gpu", "ignore"]) == 2
            lines = capsys.readouterr().err.splitlines()
            assert message in lines[-1] and len(lines) == 1


def test_without_viser_it_says_what_to_install(run_folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    assert cli.main(["view", str(run_folder), "--port", "0", "--gpu", "ignore"]) == 2
    assert "pip install 'nsr[viewer]'" in capsys.readouterr().err
