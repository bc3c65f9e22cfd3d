"""Testing and loading: figures against closed forms, files that are there, checkpoints that do not fit refused."""

import csv
import math

import numpy as np
import pytest
import torch
from nsr.cli import main as cli
from nsr.cli import prior
from nsr.errors import NsrError
from nsr.priors.networks.common.chart import write_curves
from nsr.priors.networks.common.evaluation import mean_figures
from nsr.priors.networks.common.export import export_network
from nsr.priors.networks.common.family import families, family_named
from nsr.priors.networks.common.metrics import angular_error_degrees, mad_mm, psnr_db, rmse_mm
from nsr.priors.networks.common.panels import coloured
from nsr.scenes.pictures import read_picture
from nsr.state_file import read_state, write_state


def test_figures_over_the_mask_alone():
    truth = torch.ones(1, 2, 2)
    depth = truth + torch.tensor([[[0.003, -0.004], [9.0, math.nan]]])
    mask = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert rmse_mm(depth, truth, mask) == pytest.approx(math.sqrt((9 + 16) / 2), rel=1e-4)
    assert mad_mm(depth, truth, mask) == pytest.approx(3.5, rel=1e-4)
    assert psnr_db(depth, truth, mask) == pytest.approx(-10 * math.log10(12.5e-6), rel=1e-4)
    assert math.isnan(rmse_mm(depth, truth, 0 * mask)) and psnr_db(truth, truth, mask) == math.inf


@pytest.mark.parametrize("degrees", [0.0, 0.01, 45.0, 90.0, 180.0])
def test_angles_of_vectors_of_any_length(degrees):
    radians = math.radians(degrees)
    truth = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64).reshape(3, 1, 1)
    normal = 5 * torch.tensor([0.0, math.sin(radians), -math.cos(radians)], dtype=torch.float64).reshape(3, 1, 1)
    assert angular_error_degrees(normal, truth, torch.ones(1, 1, 1)) == pytest.approx(degrees, abs=1e-6)


def test_means_leave_out_what_is_not_finite():
    rows = [{"scene": "a", "x": 1.0, "y": math.nan}, {"scene": "b", "x": 3.0, "y": math.nan, "z": 5.0}]
    means = mean_figures(rows)
    assert means["x"] == 2 and means["z"] == 5 and math.isnan(means["y"]) and "scene" not in means


def test_a_run_is_tested_on_whole_frames_of_any_size(nsr, tmp_path, capsys):
    assert nsr("train", "--verbose", 0) == 0
    assert nsr("test", "--num", 3, "--panels", 1) == 0
    folder = tmp_path / "toy" / "default" / "test_synthetic"
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["scene"] for row in rows] == ["scene0", "scene0", "scene1", "mean"]
    errors = [float(row["error"]) for row in rows]
    assert errors[3] == pytest.approx(np.mean(errors[:3])) and float(rows[0]["milliseconds"]) > 0
    assert sorted(path.name for path in folder.glob("*.png")) == ["panels_000.png"]
    assert read_picture(folder / "panels_000.png").shape[0] > 300
    assert "error " in capsys.readouterr().out
    for which in ("final", "4"):
        assert nsr("test", "--num", 1, "--checkpoint", which, "--name", "default", "--verbose", 0) == 0


def test_a_test_leaves_nothing_of_an_earlier_one(nsr, tmp_path, monkeypatch):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    assert nsr("test", "--num", 3, "--panels", 3, "--verbose", 0) == 0
    folder = tmp_path / "toy" / "default" / "test_synthetic"
    assert len(list(folder.glob("panels_*.png"))) == 3
    assert nsr("test", "--num", 2, "--panels", 1, "--verbose", 0) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.csv", "panels_000.png"]
    before = (folder / "metrics.csv").read_bytes()

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("nsr.priors.networks.common.evaluation.mean_figures", stop)
    assert nsr("test", "--num", 3, "--verbose", 0) == 130
    assert (folder / "metrics.csv").read_bytes() == before
    assert not [path for path in folder.parent.iterdir() if path.name.startswith(".test")]


def test_the_newest_run_is_tested_where_none_is_named(nsr, tmp_path):
    for name in ("older", "newer"):
        assert nsr("train", "--verbose", 0, "--epoch", 1, "--name", name) == 0
    assert nsr("test", "--num", 1, "--verbose", 0) == 0
    assert (tmp_path / "toy" / "newer" / "test_synthetic").is_dir()


def test_a_checkpoint_named_by_its_file_is_tested_in_its_own_run(nsr, tmp_path, monkeypatch):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    monkeypatch.chdir(tmp_path)
    assert nsr("test", "--num", 1, "--verbose", 0, "--checkpoint", "toy/default/final.pt") == 0
    assert (tmp_path / "toy" / "default" / "test_synthetic" / "metrics.csv").is_file()
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["default"]


@pytest.mark.parametrize(("flag", "value"), [("--num", 0), ("--num", -1), ("--seed", -1), ("--panels", -1)])
def test_bad_flags_of_a_test_are_told_in_one_line(nsr, tmp_path, capsys, flag, value):
    assert nsr("test", flag, value) == 2
    errors = capsys.readouterr().err
    assert f"{flag} is {value}; it must be at least" in errors and errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_network_that_gives_no_numbers_is_told(nsr, tmp_path, capsys):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    state = read_state(tmp_path / "toy" / "default" / "best.pt")
    state["modules"]["network"]["decoder.bias"][:] = float("nan")
    write_state(tmp_path / "toy" / "default" / "best.pt", state)
    assert nsr("test", "--verbose", 0) == 2
    errors = capsys.readouterr().err
    assert "the depth that the network gives is not finite" in errors and errors.count("\n") == 1
    assert not (tmp_path / "toy" / "default" / "test_synthetic").exists()


@pytest.mark.parametrize(("flag", "value"), [("--then", "toy"), ("--scene_unit", "mm"), ("--input", "bundles")])
def test_flags_of_scenes_need_one(nsr, tmp_path, capsys, flag, value):
    assert nsr("export", tmp_path / "net.onnx", flag, value) == 2
    assert f"{flag} is of a scene's views: give --scene too" in capsys.readouterr().err


def test_results_below_a_file_are_refused_in_one_line(nsr, tmp_path, capsys):
    (tmp_path / "toy").write_text("no folder")
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 2
    errors = capsys.readouterr().err
    assert "a file stands where a folder is needed" in errors and errors.count("\n") == 1


def test_checkpoints_that_do_not_fit_are_refused(nsr, tmp_path, capsys):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    best = tmp_path / "toy" / "default" / "best.pt"
    state = read_state(best)
    weights = state["modules"]["network"]
    wrong = {
        "another.pt": {**state, "family": "cat-recognition"},
        "engine.pt": {"step": 3, "renderer": {}},
        "narrow.pt": {**state, "modules": {"network": {**weights, "decoder.weight": torch.zeros(1, 2, 1, 1)}}},
        "lacking.pt": {**state, "modules": {"network": {"stem.weight": torch.zeros(1)}}},
    }
    told = {
        "another.pt": "this checkpoint is of cat-recognition; toy needs one of its own",
        "engine.pt": "this checkpoint is no checkpoint of a network",
        "narrow.pt": "has in another shape 1 (decoder.weight)",
        "lacking.pt": "has besides 1 (stem.weight)",
        "missing.pt": "there is no such checkpoint",
    }
    for name, content in wrong.items():
        write_state(tmp_path / name, content)
    for name, message in told.items():
        assert nsr("test", "--checkpoint", tmp_path / name) == 2
        errors = capsys.readouterr().err
        assert message in errors and errors.count("\n") == 1
    assert nsr("test", "--name", "nobody") == 2
    assert "there is no such run of toy; there are: default" in capsys.readouterr().err
    assert nsr("test", "--name", "default", "--checkpoint", "77") == 2
    assert "there are: best, epoch_0001, final" in capsys.readouterr().err
    assert not list(tmp_path.rglob("metrics.csv"))


def test_flags_of_the_family_change_the_task_that_is_tested_and_the_folder(nsr, tmp_path):
    assert nsr("train", "--verbose", 0) == 0
    for flags in ((), ("--shift", 5)):
        assert nsr("test", "--verbose", 0, *flags) == 0
    errors = {}
    for name in ("test_synthetic", "test_synthetic_shifted"):
        with (tmp_path / "toy" / "default" / name / "metrics.csv").open() as file:
            errors[name] = float(list(csv.DictReader(file))[-1]["error"])
    assert errors["test_synthetic"] < 1 < 4 < errors["test_synthetic_shifted"]


def test_data_are_prepared_by_families_that_say_so(nsr, toy, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        cli.main(["prior", "prepare", "toy", "raw", "ready"])
    assert "invalid choice: 'toy'" in capsys.readouterr().err
    monkeypatch.setattr(prior, "families", lambda: {"toy": toy.PreparingFamily()})
    assert cli.main(["prior", "prepare", "toy", "raw", "ready"]) == 0
    assert capsys.readouterr().out == "raw became ready\n"


def test_without_a_run_or_a_shipped_checkpoint_the_way_to_make_one_is_told(nsr, capsys):
    assert nsr("test") == 2
    assert "make one with: nsr prior train toy" in capsys.readouterr().err
    assert nsr("test", "--checkpoint", "final") == 2
    assert "what ships is a best checkpoint alone; leave out --checkpoint final" in capsys.readouterr().err


def test_a_family_without_a_format_says_so(nsr, tmp_path, capsys):
    assert nsr("train", "--verbose", 0, "--epoch", 1) == 0
    assert nsr("export", tmp_path / "x.onnx") == 2
    assert "toy has no format to export to" in capsys.readouterr().err


def test_the_list_of_families():
    assert list(families()) == sorted(families())
    with pytest.raises(NsrError, match="'nobody' is no family of networks"):
        family_named("nobody")


def test_colours_of_values():
    deviation = coloured(np.array([[-1.0, 0.0, 1.0, np.nan]]), (-1.0, 1.0))[0]
    assert deviation[0, 2] > deviation[0, 0] and deviation[2, 0] > deviation[2, 2]
    assert np.allclose(deviation[1], 0.93) and np.allclose(deviation[3], 1)
    scale = coloured(np.linspace(0, 1, 9)[None], (0.0, 1.0))[0]
    assert (np.diff(scale.sum(-1)) > 0).all()


def test_curves_are_drawn_with_what_they_hold(tmp_path):
    write_curves(tmp_path / "a.png", [1, 2, 3], {"falling": [1.0, 0.1, 0.01]})
    write_curves(tmp_path / "b.png", [1, 2, 3], {"falling": [1.0, 0.1, 0.01], "odd": [0.0, math.nan, -1.0]})
    falling, both = read_picture(tmp_path / "a.png").astype(int), read_picture(tmp_path / "b.png").astype(int)
    blue = (falling[..., 2] - falling[..., 0]) > 100
    rows = [np.flatnonzero(blue[:, column]).mean() for column in (100, 350, 600)]
    assert rows == sorted(rows) and rows[2] - rows[0] > 300
    assert (both != falling).any()


def test_an_exported_network_computes_the_same(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1), torch.nn.BatchNorm2d(3), torch.nn.ReLU())
    example = torch.rand(1, 2, 16, 16)
    script = torch.jit.load(str(export_network(network, tmp_path / "n.ts", {"maps": example}, "depth")))
    other = torch.rand(2, 2, 24, 40)
    with torch.no_grad():
        assert torch.allclose(script(other), network.eval()(other), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["n.ts"]
    with pytest.raises(NsrError, match="n.h5: name the file .onnx"):
        export_network(network, tmp_path / "n.h5", {"maps": example}, "depth")

    pytest.importorskip("onnx", reason="onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = export_network(network, tmp_path / "n.onnx", {"maps": example}, "depth")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (depth,) = session.run(["depth"], {"maps": other.numpy()})
    with torch.no_grad():
        assert np.abs(depth - network(other).numpy()).max() < 1e-5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.onnx", "n.ts"]
