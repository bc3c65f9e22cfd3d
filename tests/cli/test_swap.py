"""Two runs of a few steps, swapped from the command line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nsr.cli import main as cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(_sphere_scene_master, tmp_path_factory):
    """``exps/plain_65`` and ``exps/plain_110`` without, ``exps/grid_65`` with a position encoding of the radiance."""
    folder = tmp_path_factory.mktemp("swap")
    (folder / "DTU").mkdir()
    for scan in (65, 110):
        (folder / "DTU" / f"scan{scan}").symlink_to(_sphere_scene_master)
    small = ["train.num_pixels=64", "train.init=sphere", "train.plot_freq=0", "model.ray_tracer.hull_margin=0",
             "loss.silhouette_weight=0", "model.implicit_network.dims=[32,32]", "model.implicit_network.skip_in=[]",
             "model.rendering_network.dims=[16]"]  # fmt: skip
    for name, scan, conf in (("plain", 65, "idr"), ("plain", 110, "idr"), ("grid", 65, "default")):
        settings = [part for setting in [f"train.expname={name}", *small] for part in ("--set", setting)]
        arguments = ["--conf", f"confs/{conf}.conf", "--data_dir", str(folder / "DTU"), "--scan_id", str(scan)]
        arguments += ["--steps", "2", "--gpu", "ignore", "--exps_folder", str(folder / "exps")]
        assert cli.main(["train", *arguments, *settings]) == 0
    return folder


def test_frames_and_a_film(runs, tmp_path, capsys):
    pytest.importorskip("imageio_ffmpeg")
    code = cli.main(["swap", str(runs / "exps" / "plain_65"), str(runs / "exps" / "plain_110"), "--frames", "5",
                     "--size", "32", "--gpu", "ignore", "--alpha"])  # fmt: skip
    assert code == 0
    folder = runs / "evals_disentanglement" / "plain_65__plain_110"
    assert len(list((folder / "novel_views_rendering").glob("eval_*.png"))) == 5
    assert (folder / "novel_views.mp4").stat().st_size > 500


def test_a_position_encoding_is_refused_and_adapted_on_request(runs, tmp_path, capsys):
    arguments = ["swap", str(runs / "exps" / "plain_65"), str(runs / "exps" / "grid_65"), "--frames", "4",
                 "--size", "16", "--gpu", "ignore", "--no_film", "--output", str(tmp_path / "out")]  # fmt: skip
    assert cli.main(arguments) == 2
    assert "encoding of its own" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert cli.main([*arguments, "--adapt", "3"]) == 0
    assert "adapted in 3 steps" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "novel_views_rendering").iterdir())) == 4


def test_idrs_script(runs):
    """As a process, from ``code/`` as IDR's is run."""
    (runs / "plain.conf").write_text((next((runs / "exps" / "plain_65").iterdir()) / "runconf.conf").read_text())
    done = subprocess.run(
        [sys.executable, "evaluation/eval_disentanglement.py", "--conf", str(runs / "plain.conf"), "--exps_folder",
         str(runs / "exps"), "--geometry_id", "65", "--appearance_id", "110", "--views", "1", "3", "--frames", "2",
         "--size", "16", "--gpu", "ignore", "--no_film"],
        cwd=ROOT / "code", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list((runs / "evals_disentanglement" / "plain_65_110" / "novel_views_rendering").iterdir())) == 2


def test_errors_are_one_line(runs, capsys):
    both = [str(runs / "exps" / "plain_65"), str(runs / "exps" / "plain_110")]
    for arguments, message in (
        ([both[0], "nowhere"], "nowhere"),
        ([*both, "--views", "0", "99"], "no view 99"),
        ([*both, "--path", "none.npz"], "none.npz"),
        ([*both, "--output", "/dev/null/out"], "cannot write the frames"),
    ):
        assert cli.main(["swap", *arguments, "--gpu", "ignore", "--size", "16"]) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_geometry_without_a_surface_is_refused(runs, tmp_path, capsys):
    empty = Path(shutil.copytree(runs / "exps" / "plain_65", tmp_path / "empty_65"))
    (path,) = empty.glob("*/checkpoints/latest.pt")
    state = torch.load(path, weights_only=True)
    state["renderer"]["sdf.lin2.bias"][0] += 5
    torch.save(state, path)
    arguments = ["swap", str(empty), str(runs / "exps" / "plain_110"), "--output", str(tmp_path / "out")]
    assert cli.main([*arguments, "--gpu", "ignore", "--size", "16", "--frames", "4"]) == 2
    assert "the field has no surface" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()
