"""Pictures of a run: right, in world units, and without effect on the run."""

import logging

import numpy as np
import pytest
import torch
import trimesh

from nsr.errors import NsrError
from nsr.scenes.pictures import read_picture
from nsr.training import plots
from nsr.training.trainer import Trainer

CPU = torch.device("cpu")


def state_of(trainer):
    parameters = {name: value.clone() for name, value in trainer.renderer.state_dict().items()}
    return parameters, torch.get_rng_state(), trainer.clock.step


def test_a_run_with_pictures_is_the_run_without(tiny_config, sphere_scene, tmp_path):
    results = []
    for drawn in (False, True):
        trainer = Trainer(tiny_config, sphere_scene, CPU)
        for step in range(6):
            trainer.step()
            if drawn and step % 2:
                plots.draw_plots(tmp_path, trainer)
        results.append(state_of(trainer))
    assert len(list((tmp_path / "plots").iterdir())) == 15
    for name, value in results[0][0].items():
        assert torch.equal(value, results[1][0][name]), name
    assert torch.equal(results[0][1], results[1][1]) and results[0][2] == results[1][2]


@pytest.fixture
def trainer(hull_config, sphere_scene):
    trainer = Trainer(hull_config, sphere_scene, CPU)
    for _ in range(3):
        trainer.step()
    return trainer


def test_each_set_shows_the_next_training_view(trainer, sphere_scene, tmp_path):
    for number in range(8):
        trainer.clock.step = 10 * number
        plots.draw_plots(tmp_path, trainer)
    folder = tmp_path / "plots"
    assert sorted(path.name for path in folder.glob("*_000010.*")) == [
        "depth_000010.png", "normal_000010.png", "render_000010.png", "run_000010.html", "surface_000010.ply",
    ]  # fmt: skip
    for number, view in enumerate([0, 1, 2, 3, 5, 6, 7, 0]):  # view 4 is held out
        pair = read_picture(folder / f"render_{10 * number:06d}.png")
        photograph, render = pair[:, :64], pair[:, 64:]
        assert np.array_equal(photograph, sphere_scene.images[view].numpy())
        mask = sphere_scene.masks[view].numpy()
        white = (render == 255).all(-1)
        assert (white == ~mask).mean() > 0.93
        for name in ("depth", "normal"):
            picture = read_picture(folder / f"{name}_{10 * number:06d}.png")
            assert ((picture == 255).all(-1) == white).mean() > 0.99


def test_the_mesh_is_in_world_units(trainer, sphere_scene, tmp_path):
    plots.draw_plots(tmp_path, trainer)
    mesh = trimesh.load(tmp_path / "plots" / "surface_000003.ply")
    centre = sphere_scene.scale_mat[:3, 3]
    radius = np.linalg.norm(mesh.vertices - centre, axis=1)
    assert np.median(radius) == pytest.approx(0.6 * 2.5, abs=0.2)
    assert len(np.unique(mesh.visual.vertex_colors, axis=0)) > 10


def test_the_page_opens_without_a_network(trainer, tmp_path):
    plots.draw_plots(tmp_path, trainer)
    page = (tmp_path / "plots" / "run_000003.html").read_text()
    assert "<script src=" not in page and "Plotly.newPlot" in page
    assert page.count("ray of view") > 50 and "ray of view 4" not in page
    for name in ("surface", "hits", "cameras"):
        assert f'"name":"{name}"' in page
    assert '"view 7"' in page and '"view 4"' not in page


def test_hits_lie_on_the_surface(sphere_config, sphere_scene):
    sphere_config.train.num_pixels = 500
    trainer = Trainer(sphere_config, sphere_scene, CPU)
    with torch.no_grad():
        points, sdf, views = plots._hits(trainer)
    assert len(points) == len(sdf) == len(views) > 50
    assert np.abs(sdf).max() < 1e-3
    expected = trainer.renderer.sdf.value(torch.from_numpy(points)).detach().numpy()
    np.testing.assert_allclose(sdf, expected, atol=1e-6)
    assert set(views) <= set(trainer.scene.train_views)


def test_without_a_surface_the_mesh_is_left_out_with_a_line(trainer, tmp_path, caplog):
    with torch.no_grad():
        trainer.renderer.sdf.lin2.bias[0] += 5
    with caplog.at_level(logging.INFO, "nsr"):
        plots.draw_plots(tmp_path, trainer)
    assert "step 3: no mesh is drawn: the field has no surface" in caplog.text
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["depth_000003.png", "normal_000003.png", "render_000003.png", "run_000003.html"]


def test_large_photographs_are_drawn_smaller(trainer, tmp_path, monkeypatch):
    plots.draw_plots(tmp_path / "full", trainer)
    monkeypatch.setattr(plots, "LONGEST_SIDE", 32)
    plots.draw_plots(tmp_path / "half", trainer)
    full, half = (read_picture(tmp_path / name / "plots" / "normal_000003.png") for name in ("full", "half"))
    assert full.shape == (48, 64, 3) and half.shape == (24, 32, 3)
    averaged = full.reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert np.median(np.abs(averaged - half)) < 6  # the same picture, not one shifted by half a pixel
    camera, size = plots._shrunk(trainer.cameras, 5, (48, 64))
    point = torch.tensor([[0.2, -0.1, 0.3]])
    large = trainer.cameras.project(torch.tensor([5]), point)[0]
    small = camera.project(torch.tensor([0]), point)[0]
    assert size == (24, 32)
    torch.testing.assert_close(small, (large + 0.5) / 2 - 0.5)


def test_a_place_that_cannot_be_written_is_named(trainer, tmp_path):
    (tmp_path / "plots").write_text("in the way")
    with pytest.raises(NsrError, match="cannot write the pictures of step 000003 to .*plots"):
        plots.draw_plots(tmp_path, trainer)
