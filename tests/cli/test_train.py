"""From flags to what the trainer is given; the trainer itself is a stand-in that writes a checkpoint."""

import sys
import time
import types

import pytest

import nsr
from nsr.cli.main import exp_runner, main
from nsr.config.reader import load_config
from nsr.errors import ConfigError
from nsr.training.clock import Clock
from nsr.training.run_folder import checkpoint_path, create_run_folder


@pytest.fixture
def trained(monkeypatch, tmp_path, sphere_scene_folder):
    """Call ``nsr train SCENE ...`` (or the script); gives exit code and the trainer's arguments, None if not called."""
    calls = []

    class Trainer:
        def __init__(self, config, scene, device, resume):
            if config.train.expname == "impossible":
                raise ConfigError("no such trainer can be built")
            self.given = {"config": config, "scene": scene, "device": device, "resume": resume}
            self.clock = Clock(config.train)

        def run(self, run_folder):
            calls.append(types.SimpleNamespace(**self.given, run=run_folder))
            checkpoint_path(run_folder).write_bytes(b"")
            return checkpoint_path(run_folder)

    monkeypatch.setattr(nsr, "STARTED", time.monotonic())
    monkeypatch.setitem(sys.modules, "nsr.training.trainer", types.SimpleNamespace(Trainer=Trainer))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.conf").write_text("train { expname = own, steps = 100, num_pixels = 64, minutes = 3 }")

    def call(*arguments, script=False, scene=sphere_scene_folder):
        calls.clear()
        options = ["--conf", "own.conf", "--gpu", "ignore", *arguments]
        code = exp_runner(options) if script else main(["train", str(scene), *options])
        return code, calls[0] if calls else None

    return call


def test_a_folder_is_trained_into_a_run_that_keeps_its_conf(trained, tmp_path, sphere_scene_folder, capsys):
    code, call = trained()
    assert code == 0
    assert call.run.parent == tmp_path / "exps" / "own_sphere"
    assert call.scene.heldout_views == [4]
    assert call.device.type == "cpu"
    assert load_config(call.run / "runconf.conf") == call.config
    assert call.config.dataset.data_dir == str(sphere_scene_folder)
    assert str(call.run) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "steps", "minutes", "pixels"),
    [
        ([], 100, 3, 64),
        (["--steps", "9"], 9, 0, 64),
        (["--minutes", "2.5"], 100, 2.5, 64),
        (["--nepoch", "10"], 70, 0, 64),  # 7 views to train on
        (["--nepoch", "10", "--batch_size", "2"], 35, 0, 128),
        (["--batch_size", "3"], 34, 3, 192),
        (["--steps", "9", "--batch_size", "2"], 9, 0, 128),
    ],
)
def test_the_length_of_a_run(trained, flags, steps, minutes, pixels):
    train = trained(*flags)[1].config.train
    assert (train.steps, train.minutes, train.num_pixels) == (steps, minutes, pixels)


def test_names_seed_and_any_key(trained, tmp_path):
    _, call = trained("--expname", "_b", "--exps_folder", "runs", "--seed", "7", "--set", "loss.mask_weight=3")
    assert call.run.parent == tmp_path / "runs" / "own_b_sphere"
    assert (call.config.train.seed, call.config.loss.mask_weight) == (7, 3.0)


def test_the_script_finds_a_scan_below_its_data_folder(trained, tmp_path, sphere_scene_folder):
    (tmp_path / "DTU").mkdir()
    sphere_scene_folder.rename(tmp_path / "DTU" / "scan65")
    code, call = trained("--data_dir", "DTU", "--scan_id", "65", script=True)
    assert code == 0
    assert call.run.parent.name == "own_65"
    assert call.scene.folder == tmp_path / "DTU" / "scan65"


def test_trained_cameras_begin_with_the_rough_ones_where_there_are_some(trained, sphere_scene_folder):
    config = trained("--train_cameras")[1].config
    assert (config.train.train_cameras, config.dataset.cam_file) == (True, None)
    main(["scene", "perturb", str(sphere_scene_folder), "--degrees", "0.5"])
    config = trained("--train_cameras")[1].config
    assert config.dataset.cam_file == "cameras_linear_init.npz"


def test_continuing_takes_the_newest_checkpoint_into_a_new_run(trained, capsys):
    code, call = trained("--is_continue")
    assert code == 0 and call.resume is None
    assert "nothing to continue from, starting anew" in capsys.readouterr().err
    first = call.run
    create_run_folder(first.parent)  # a run that crashed before its first checkpoint
    _, call = trained("--is_continue")
    assert call.resume == checkpoint_path(first)
    assert call.run.parent == first.parent and call.run != first
    checkpoint_path(first, 50).write_bytes(b"")
    _, call = trained("--is_continue", "--timestamp", first.name, "--checkpoint", "50")
    assert call.resume == checkpoint_path(first, 50)
    code, call = trained("--is_continue", "--checkpoint", "51")
    assert (code, call) == (2, None)
    assert "no checkpoint 51" in capsys.readouterr().err


def test_continuing_under_another_conf_says_what_differs(trained, capsys):
    trained("--steps", "40")
    capsys.readouterr()
    trained("--is_continue", "--steps", "40")
    assert "warning" not in capsys.readouterr().err
    trained("--is_continue", "--steps", "50")
    assert "the run that this one continues had train.steps = 40, now it is 50" in capsys.readouterr().err


def test_a_scene_with_errors_is_refused_before_anything_is_written(trained, sphere_scene_folder, tmp_path, capsys):
    next((sphere_scene_folder / "mask").iterdir()).unlink()
    code, call = trained()
    assert (code, call) == (2, None)
    assert "8 images but 7 masks" in capsys.readouterr().err
    assert not (tmp_path / "exps").exists()


def test_few_training_views_of_a_scene_of_many_are_called_few(trained, capsys):
    trained()
    assert "are few" not in capsys.readouterr().err
    trained("--set", "dataset.train_views=3")
    assert "training looks at 3 of 8 views; 3 views are few" in capsys.readouterr().err
    trained("--set", "dataset.train_views=5")
    assert "training looks at 5 of 8 views; 5 views are few" in capsys.readouterr().err
    trained("--set", "dataset.train_views=2")
    assert "training looks at 2 of 8 views; 2 views are too few" in capsys.readouterr().err


def test_a_scene_of_few_views_is_called_few_once(trained, sphere_scene_folder, capsys):
    for name in ("image", "mask"):
        for path in sorted((sphere_scene_folder / name).iterdir())[5:]:
            path.unlink()
    trained()
    assert capsys.readouterr().err.count("views are few") == 1


def test_a_conf_that_cannot_be_built_leaves_nothing_behind(trained, tmp_path, capsys):
    code, call = trained("--set", "train.expname=impossible")
    assert (code, call) == (2, None)
    assert "no such trainer can be built" in capsys.readouterr().err
    assert not (tmp_path / "exps").exists()


def test_a_run_that_is_over_before_it_begins_leaves_nothing_behind(trained, tmp_path, capsys):
    code, call = trained("--minutes", "0.00001")
    assert (code, call) == (2, None)
    assert "longer than the run was to be; give --minutes more" in capsys.readouterr().err
    assert not (tmp_path / "exps").exists()
