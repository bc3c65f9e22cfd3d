import csv
import os

import numpy as np
import pytest
import torch
import trimesh

from nsr.cli.main import main
from nsr.priors.networks.shape_from_shading.depth_files import read_packed_depth
from nsr.priors.networks.shape_from_shading.family import FAMILY
from nsr.priors.networks.shape_from_shading.folder import sample_numbers, write_relief_sample
from nsr.priors.networks.shape_from_shading.generate import Recipe, make_sample

SMALL = "--num 3 --val 0.34 --epoch 1 --frame 64 --patch 32 --stride 32 --batch 4 --width 4 --verbose 0".split()


def nsr(command, folder, *arguments):
    return main(["prior", command, FAMILY.name, "--output", str(folder), "--gpu", "ignore", *map(str, arguments)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one epoch, named small."""
    folder = tmp_path_factory.mktemp("runs")
    assert nsr("train", folder, "--name", "small", "--drop", 0.2, *SMALL) == 0
    return folder


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_tested_run_has_its_table_figure_clouds_and_depths(run):
    arguments = "--num 2 --frame 64 --verbose 0 --panels 1 --ply --bmp --samples --confidence 2".split()
    assert nsr("test", run, "--name", "small", *arguments) == 0
    folder = run / FAMILY.name / "small" / "test_synthetic"
    table = rows(folder)
    assert [row["name"] for row in table] == ["00000", "00001", ""]
    for name in ("rmse_mm", "image_aligned_rmse_mm", "window_aligned_rmse_mm", "ratio", "normal_error_degrees"):
        assert all(np.isfinite(float(row[name])) for row in table)
    assert (folder / "panels_000.png").is_file() and not (folder / "panels_001.png").exists()
    true = make_sample(Recipe(size=64), 1000, 1)
    valid = true["mask"][0].numpy() > 0
    cloud = trimesh.load(folder / "ply_gt-00001.ply", process=False)
    np.testing.assert_allclose(cloud.vertices[:, 2], true["depth"][0].numpy()[valid], rtol=1e-6)
    assert len(trimesh.load(folder / "ply_pred-00001.ply").vertices) == valid.sum()
    predicted = read_packed_depth(folder / "pred-00001.bmp")
    error = np.sqrt(np.mean((predicted - true["depth"][0].numpy())[valid] ** 2)) * 1000
    assert error == pytest.approx(float(table[1]["rmse_mm"]), rel=1e-3)
    assert sample_numbers(folder / "samples") == [0, 1]


def test_what_was_written_can_be_trained_on_from_the_best_of_a_run_with_half_of_it_frozen(run, tmp_path):
    for number in range(3):
        write_relief_sample(make_sample(Recipe(size=64), 7, number), tmp_path / "real")
    tuned = [*SMALL, "--finetune", "small", "--data", str(tmp_path / "real"), "--freeze", "encoder"]
    assert nsr("train", run, "--name", "tuned", *tuned) == 0
    before, after = (
        torch.load(run / FAMILY.name / name / "best.pt", weights_only=True)["modules"]["network"]
        for name in ("small", "tuned")
    )
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"reduce", "decoder", "head"}


def test_a_network_without_pattern_is_trained_kept_apart_and_tested_on_a_folder_without(run, tmp_path, capsys):
    assert nsr("train", tmp_path, "--name", "two", "--inputs", "low,shading", *SMALL) == 0
    state = torch.load(tmp_path / FAMILY.name / "two" / "best.pt", weights_only=True)
    assert state["modules"]["network"]["stem.weight"].shape[1] == 2
    sample = {name: value for name, value in make_sample(Recipe(size=64), 7, 600).items() if name != "pattern"}
    write_relief_sample(sample, tmp_path / "real")
    assert nsr("test", tmp_path, "--name", "two", "--data", tmp_path / "real", "--verbose", 0) == 0
    assert rows(tmp_path / FAMILY.name / "two" / "test_real")[0]["name"] == "00600"
    assert nsr("train", tmp_path, "--name", "two", "--retrain", *SMALL) == 2
    assert "inputs" in capsys.readouterr().err


def test_training_and_testing_take_their_own_numbers_of_a_folder(tmp_path):
    for number in (3, 4, 500):
        write_relief_sample(make_sample(Recipe(size=32), 7, number), tmp_path / "data")
    flags = [*SMALL, "--val", "0.5", "--data", str(tmp_path / "data")]
    assert nsr("train", tmp_path, "--name", "run", *flags) == 0
    with open(tmp_path / FAMILY.name / "run" / "training.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 1
    assert nsr("test", tmp_path, "--name", "run", "--data", tmp_path / "data", "--verbose", 0) == 0
    assert [row["name"] for row in rows(tmp_path / FAMILY.name / "run" / "test_data")] == ["00500", ""]


def test_the_rig_that_is_told_places_the_points(run, tmp_path):
    write_relief_sample(make_sample(Recipe(size=32), 7, 500), tmp_path / "data")
    arguments = ["--data", tmp_path / "data", "--verbose", 0, "--ply", "--focal", 2000, 1000, "--centre", 4, 9]
    assert nsr("test", run, "--name", "small", *arguments) == 0
    cloud = trimesh.load(run / FAMILY.name / "small" / "test_data" / "ply_low-00500.ply", process=False)
    sample = make_sample(Recipe(size=32), 7, 500)
    v, u = np.nonzero(sample["mask"][0].numpy() * sample["shading"][0].numpy())
    x, y, z = cloud.vertices.T
    np.testing.assert_allclose(2000 * x / z + 4, u, atol=1e-3)
    np.testing.assert_allclose(1000 * y / z + 9, v, atol=1e-3)


def test_streamed_frames_train_as_those_in_memory_do(run, tmp_path):
    assert nsr("train", tmp_path, "--name", "streamed", "--drop", 0.2, *SMALL, "--streaming") == 0
    states = [
        torch.load(path / "final.pt", weights_only=True)["modules"]["network"]
        for path in (run / FAMILY.name / "small", tmp_path / FAMILY.name / "streamed")
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kinds", "waves,stairs"], "there is no relief stairs; there are: waves, rough, ridges, bumps"),
        (["--wavelength", "12", "3"], "--wavelength 12 3: give two numbers above 0, the smaller first"),
        (["--focal", "0", "10"], "--focal 0 10: give two numbers above 0"),
        (["--noise", "-1"], "--noise is -1; it must be at least 0"),
        (["--pitch", "nan"], "--pitch is nan; it must be at least 8"),
        (["--lamp", "nan", "0", "0"], "--lamp: give finite numbers"),
        (["--patch", "36"], "give a multiple of 8"),
        (["--data", "nowhere"], "nowhere: there is no such folder"),
        (["--absent", "1.5"], "--absent is 1.5; it is a part, from 0 to 1"),
    ],
)
def test_a_wrong_flag_is_one_line_and_leaves_nothing(tmp_path, capsys, arguments, told):
    assert nsr("train", tmp_path, *SMALL, *arguments) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_real_photographs_are_tested_without_a_pattern(run, monkeypatch, capsys):
    root = os.environ.get("NSR_DATA")
    if not root:
        pytest.skip("NSR_DATA names no folder with photometric/cat")
    assert nsr("test", run, "--name", "small", "--data", "real", "--verbose", 0) == 0
    row = rows(run / FAMILY.name / "small" / "test_real")[0]
    assert row["name"] == "cat" and float(row["normal_error_degrees"]) > 0
    monkeypatch.delenv("NSR_DATA")
    assert nsr("test", run, "--name", "small", "--data", "real") == 2
    assert "set the environment variable NSR_DATA" in capsys.readouterr().err


def test_the_network_is_exported(run, tmp_path):
    assert nsr("export", run, "--name", "small", tmp_path / "network.ts") == 0
    exported = torch.jit.load(tmp_path / "network.ts")
    assert exported(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)
