"""The family through the ``nsr`` command, on files."""

import csv
import os
import shutil

import cv2
import numpy as np
import pytest
import torch

from nsr.cli import main as cli
from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.depth_super_resolution.depth_files import read_depth
from nsr.priors.networks.depth_super_resolution.family import FAMILY
from nsr.priors.networks.depth_super_resolution.pfm import read_pfm

TINY = ("--width", 4, "--patch", 32, "--stride", 32, "--batch", 2, "--factor", 4, "--verbose", 0, "--num", 6)
QUICK = (*TINY, "--epoch", 2, "--val", 0.34)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def trained(trained_once, tmp_path):
    return shutil.copytree(trained_once, tmp_path / "runs") / FAMILY.name


def test_train_and_test_write_what_they_say(trained, nsr, folder, capsys):
    log = rows_of(trained / "default" / "training.csv")
    assert [row["epoch"] for row in log] == ["1", "2"]
    assert {"x2", "x4", "fused", "val_x2", "val_fused"} <= log[0].keys()
    assert nsr("test", "--data", folder, "--num", 2, "--verbose", 0) == 0
    results = trained / "default" / "test_maps_x4"
    figures = rows_of(results / "metrics.csv")
    assert [row["scene"] for row in figures] == ["scan0", "scan1", "mean"]
    for name in ("bicubic", "x2", "x4", "fused"):
        for figure in ("rmse_mm", "mad_mm", "psnr_db", "edges_rmse_mm", "interiors_rmse_mm"):
            assert float(figures[2][f"{name}_{figure}"]) > 0
    written = read_pfm(results / "depth" / "scan0_depth_map_0000.pfm")
    assert written.shape == (48, 64) and 800 < np.median(written) < 2500
    assert cv2.imread(str(results / "panels_000.png")).shape[1] > 600


def test_both_units_and_the_switches_train(nsr, folder, tmp_path):
    for name, flags in (("srcnn", ("--network", "srcnn")), ("bare", ("--no-fuse-input", "--degradation", "interval")),
                        ("rough", ("--blur", 0.5, "--noise", 5, "--drop", 0.1))):  # fmt: skip
        assert nsr("train", "--data", folder, *TINY, "--epoch", 1, "--name", name, *flags) == 0
    weights = {
        name: torch.load(tmp_path / "runs" / FAMILY.name / name / "final.pt", weights_only=False)["modules"]
        for name in ("srcnn", "bare")
    }
    assert weights["srcnn"]["network"]["stages.0.0.0.weight"].shape == (4, 1, 9, 9)
    assert weights["bare"]["network"]["stages.0.0.0.weight"].shape == (4, 1, 3, 3)


def test_small_maps_are_enlarged_in_either_format(trained, nsr, folder):
    for form in ("png", "pfm"):
        assert (
            nsr("test", "--data", folder, "--enlarge", "--factor", 2, "--num", 1, "--verbose", 0, "--format", form) == 0
        )
        depth, mask = read_depth(trained / "default" / "test_maps_x2" / "depth" / f"scan0_depth_map_0000.{form}")
        assert depth.shape == (1, 96, 128)
        assert not mask[0, 22:30, 44:64].any() and mask.mean() > 0.9


def test_prepared_data_keep_their_own_split(nsr, folder, tmp_path, capsys):
    indexed = tmp_path / "indexed"
    assert cli.main(["prior", "prepare", FAMILY.name, str(folder), str(indexed), "--levels", "2", "--val", "0.34"]) == 0
    assert "6 maps at 2 sizes" in capsys.readouterr().out
    assert nsr("train", "--data", indexed, *QUICK) == 0
    assert nsr("test", "--data", indexed, "--verbose", 0) == 0
    figures = rows_of(tmp_path / "runs" / FAMILY.name / "default" / "test_indexed_x4" / "metrics.csv")
    assert [row["scene"] for row in figures] == [*(row["scan"] for row in rows_of(indexed / "validation.csv")), "mean"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--factor", 8), "enlarges by 2, 4, not by 8"),
        (("--degradation", "interval"), "trained on area"),
        (("--noise", -1), "must be finite, from 0 on"),
        (("--data", "nowhere"), "nowhere: is no folder"),
    ],
)
def test_what_a_checkpoint_cannot_do_is_refused_and_nothing_written(trained, nsr, folder, capsys, flags, said):
    assert nsr("test", "--data", folder, "--verbose", 0, *flags) == 2
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1
    assert not list((trained / "default").glob("test_*"))


@pytest.mark.parametrize("suffix", ["onnx", "ts"])
def test_an_exported_network_takes_maps_of_any_size(trained, nsr, tmp_path, suffix):
    path = tmp_path / f"network.{suffix}"
    if suffix == "onnx":
        runtime = pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    assert nsr("export", path) == 0
    low = 1 + torch.rand(2, 1, 9, 13)
    if suffix == "onnx":
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        depth = torch.from_numpy(session.run(None, {"low": low.numpy()})[0])
    else:
        depth = torch.jit.load(str(path))(low)
    task = task_from_checkpoint(trained / "default" / "best.pt", FAMILY)
    with torch.no_grad():
        torch.testing.assert_close(depth, task.network(low)["fused"], rtol=0, atol=1e-4)


def test_real_data_needs_its_folder_named(nsr, capsys, monkeypatch):
    monkeypatch.delenv("NSR_DATA", raising=False)
    assert nsr("train", "--data", "real", *QUICK) == 2
    assert "NSR_DATA" in capsys.readouterr().err


def test_a_patch_that_the_stages_cannot_halve_is_refused(nsr, folder, tmp_path, capsys):
    assert nsr("train", "--data", folder, *QUICK, "--patch", 30) == 2
    assert "--patch 30" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_real_maps_are_metric():
    if not os.environ.get("NSR_DATA"):
        pytest.skip("NSR_DATA names no folder with real depth maps")
    from nsr.priors.networks.depth_super_resolution.real_depth import RealDepth

    maps = RealDepth(3)
    assert maps.scenes == ["motorcycle", "livingroom", "livingroom"]
    motorcycle, room = maps[0], maps[1]
    assert motorcycle["depth"].shape == (1, 500, 741) and room["depth"].shape == (1, 480, 640)
    assert motorcycle["mask"].mean() == pytest.approx(0.927, abs=0.001)
    known = motorcycle["depth"][motorcycle["mask"] > 0]
    assert 1.5 < known.min() < known.max() < 6  # a motorcycle in a workshop
    assert 0.3 < room["depth"][room["mask"] > 0].median() < 5
