"""``nsr pack``: a run that is small enough to give away, and still the same run."""

import torch

from nsr.cli import main as cli
from nsr.config.reader import load_config
from nsr.rendering.image import render_view
from nsr.scenes.idr_folder import load_scene
from nsr.training.run import load_run

SETTINGS = {
    "train.num_pixels": 64, "train.init": "hull", "train.hull_resolution": 24, "train.hull_fit_steps": 5,
    "train.plot_freq": 0.0, "model.feature_vector_size": 4, "model.implicit_network.dims": "[32,32]",
    "model.implicit_network.skip_in": "[]", "model.rendering_network.dims": "[16]",
    "model.implicit_network.encoding.name": "MultiResHash", "model.implicit_network.encoding.levels": 8,
    "model.ray_tracer.hull_margin": 0.05,
}  # fmt: skip


def test_a_packed_run_is_small_and_shows_the_same(sphere_scene_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    training = ["train", str(sphere_scene_folder), "--conf", "confs/idr.conf", "--gpu", "ignore"]
    assert cli.main([*training, "--steps", "3", *settings]) == 0
    assert cli.main(["pack", "exps/idr_sphere", "given"]) == 0
    (original,), (packed,) = ((tmp_path / name / "idr_sphere").iterdir() for name in ("exps", "given"))
    assert original.name == packed.name
    assert sorted(str(path.relative_to(packed)) for path in packed.rglob("*")) == [
        "checkpoints", "checkpoints/3.pt", "runconf.conf",
    ]  # fmt: skip
    size, packed_size = ((folder / "checkpoints" / "3.pt").stat().st_size for folder in (original, packed))
    assert packed_size < size / 5.5  # table and two moments in four bytes a number, now in two

    config = load_config(packed / "runconf.conf")
    assert config.dataset.data_dir == "sphere"  # no place on this machine
    runs = [load_run(folder) for folder in (original, packed)]
    assert runs[1].step == 3 and runs[1].train_seconds == runs[0].train_seconds
    assert torch.equal(runs[1].cameras.poses, runs[0].cameras.poses)
    size = load_scene(sphere_scene_folder).masks[0].shape
    views = [render_view(run.renderer, run.cameras, 0, *size) for run in runs]
    assert torch.equal(views[0].hit, views[1].hit) and views[0].hit.any()
    torch.testing.assert_close(views[0].rgb, views[1].rgb, atol=2e-3, rtol=0)

    # what cannot be done with it is told
    capsys.readouterr()
    assert cli.main(["pack", "exps/idr_sphere", "given"]) == 2
    assert "is there already" in capsys.readouterr().err
    continued = [*training, "--steps", "6", "--exps_folder", "given", "--is_continue"]
    assert cli.main([*continued, *settings]) == 2
    assert "packed to be looked at" in capsys.readouterr().err
