"""``nsr mesh`` on a run of a few steps."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from nsr.cli import main as cli


@pytest.fixture(scope="module")
def experiment(_sphere_scene_master, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    small = ["train.num_pixels=64", "train.hull_resolution=48", "train.hull_fit_steps=60", "train.plot_freq=0"]
    settings = [part for setting in small for part in ("--set", setting)]
    arguments = ["--steps", "3", "--gpu", "ignore", "--exps_folder", str(folder), *settings]
    assert cli.main(["train", str(_sphere_scene_master), *arguments]) == 0
    return next(folder.iterdir())


@pytest.fixture
def mesh(experiment, capsys):
    def call(*arguments):
        code = cli.main(["mesh", str(experiment), "--gpu", "ignore", "--resolution", "24", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_world_units_by_default(mesh, experiment, sphere_scene):
    code, out, _ = mesh()
    assert code == 0 and "watertight" in out
    (run,) = experiment.iterdir()
    assert sorted(path.name for path in (run / "mesh").iterdir()) == ["surface_3.glb", "surface_3.ply"]
    read = trimesh.load(run / "mesh" / "surface_3.ply", process=False)
    radii = np.linalg.norm(sphere_scene.to_normalised(read.vertices), axis=1)
    assert radii.mean() == pytest.approx(0.6, abs=0.1)  # the hull that it starts from
    assert np.einsum("ij,ij->i", read.vertex_normals, read.vertices - sphere_scene.scale_mat[:3, 3]).min() > 0


def test_the_drift_of_trained_cameras_is_taken_out(experiment, sphere_scene, tmp_path):
    (original,) = experiment.iterdir()
    run = Path(shutil.copytree(original, tmp_path / "exps" / original.name))
    conf = run / "runconf.conf"
    conf.write_text(conf.read_text().replace("train_cameras = false", "train_cameras = true"))
    state = torch.load(run / "checkpoints" / "latest.pt", weights_only=True)
    state["poses"][:, 0, 3] += 0.1  # what these cameras saw lies there now
    torch.save(state, run / "checkpoints" / "latest.pt")
    arguments = ["mesh", str(run), "--gpu", "ignore", "--resolution", "24", "--formats", "ply"]
    centres = []
    for extra in ([], ["--normalised"]):
        assert cli.main([*arguments, *extra]) == 0
        centres.append(trimesh.load(run / "mesh" / "surface_3.ply", process=False).bounds.mean(axis=0))
    back = sphere_scene.to_normalised(centres[0])
    assert centres[1] - back == pytest.approx([0.1, 0, 0], abs=1e-4)


def test_normalised_without_the_scene(mesh, experiment, tmp_path):
    code, _, _ = mesh("--normalised", "--data_dir", "nowhere", "--formats", "obj", "--output", str(tmp_path / "out"))
    assert code == 0
    read = trimesh.load(tmp_path / "out" / "surface_3.obj", process=False)
    assert np.linalg.norm(read.vertices, axis=1).mean() == pytest.approx(0.6, abs=0.1)


def test_a_texture_and_an_error_in_world_units(mesh, tmp_path):
    pytest.importorskip("xatlas")
    pytest.importorskip("fast_simplification")
    code, out, _ = mesh("--texture", "photographs", "--texture_size", "128", "--max_error", "0.05", "--trim", "1",
                        "--output", str(tmp_path))  # fmt: skip
    assert code == 0 and "texture" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "surface_3.glb", "surface_3.mtl", "surface_3.obj", "surface_3.png",
    ]  # fmt: skip
    assert float(out.split("moved by at most ")[1].split()[0]) <= 0.05


def test_it_is_told_what_an_error_bound_does_not_allow(mesh):
    arguments = ["--resolution", "12", "--normalised", "--formats", "ply"]
    assert "; fewer would move it by more than 1e-09" in mesh(*arguments, "--max_error", "1e-9")[1]
    assert "; 8 would move it by more than 0.1" in mesh(*arguments, "--max_error", "0.1", "--faces", "8")[1]
    assert "would move it" not in mesh(*arguments, "--max_error", "0.1")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--texture", "radiance", "--formats", "ply"], "a PLY holds no texture"),
        (["--data_dir", "nowhere"], "nowhere"),
        (["--checkpoint", "77"], "no checkpoint 77"),
        (["--trim", "40"], "no face of the mesh is seen by 40"),
        (["--output", "/dev/null/mesh"], "cannot write the mesh"),
    ],
)
def test_errors_are_one_line(mesh, arguments, message):
    code, _, err = mesh(*arguments)
    assert code == 2 and message in err
    assert [line for line in err.splitlines() if line.startswith("nsr: error: ")] == err.splitlines()[-1:]
