"""IDR's published layout, evaluated by its own command line: a sphere in its file format."""

import json
from pathlib import Path

import pytest
import torch
import trimesh

from nsr.cli import main as cli
from nsr.config.reader import dump_config, load_config
from nsr.fields.initialisation import initialise_sphere
from nsr.rendering.model import build_renderer

ROOT = Path(__file__).parents[2]
THEIRS = {"sdf.": "implicit_network.", "radiance.": "rendering_network."}


@pytest.fixture(scope="module")
def trained_models(_sphere_scene_master, tmp_path_factory):
    """``trained_models/dtu_fixed_cameras_65/2020``, its conf, and a data root with the sphere as scan 65."""
    root = tmp_path_factory.mktemp("published")
    (root / "DTU").mkdir()
    (root / "DTU" / "scan65").symlink_to(_sphere_scene_master)
    config = load_config(ROOT / "confs" / "idr.conf", {
        "train.expname": "dtu_fixed_cameras", "dataset.data_dir": str(root / "DTU"), "model.feature_vector_size": 8,
        "model.implicit_network.dims": [64] * 8, "model.rendering_network.dims": [32] * 4,
    })  # fmt: skip
    dump_config(config, root / "dtu_fixed_cameras.conf")
    torch.manual_seed(0)
    renderer = build_renderer(config.model)
    initialise_sphere(renderer.sdf, 0.6)
    state = {}
    for name, value in renderer.state_dict().items():
        prefix = next(own for own in THEIRS if name.startswith(own))
        state[THEIRS[prefix] + name[len(prefix) :]] = value
    models = root / "trained_models" / "dtu_fixed_cameras_65" / "2020" / "checkpoints" / "ModelParameters"
    models.mkdir(parents=True)
    torch.save({"epoch": 2000, "model_state_dict": state}, models / "2000.pth")
    return root


def test_idrs_own_command_line(trained_models, monkeypatch, capsys):
    monkeypatch.chdir(trained_models)
    arguments = ["--conf", "dtu_fixed_cameras.conf", "--scan_id", "65", "--exps_folder", "./trained_models",
                 "--timestamp", "2020", "--checkpoint", "2000", "--resolution", "24", "--gpu", "ignore"]  # fmt: skip
    assert cli.evaluation_script(arguments) == 0
    folder = trained_models / "evals" / "dtu_fixed_cameras_65"
    mesh = trimesh.load(folder / "surface_world_coordinates_2000.ply")
    assert mesh.bounds.mean(axis=0) == pytest.approx([1.0, -2.0, 0.5], abs=0.15)  # the scene's scale_mat
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["step"] == 2000 and metrics["train_seconds"] is None
    assert metrics["geometry"]["chamfer"] < 0.05


def test_any_command_reads_it(trained_models, monkeypatch, capsys):
    run = trained_models / "trained_models" / "dtu_fixed_cameras_65"
    (run / "2020" / "runconf.conf").write_text((trained_models / "dtu_fixed_cameras.conf").read_text())
    assert cli.main(["mesh", str(run), "--gpu", "ignore", "--resolution", "16", "--formats", "obj"]) == 0
    assert (run / "2020" / "mesh" / "surface_2000.obj").is_file()
    (run / "2020" / "runconf.conf").unlink()
    # without a conf it is IDR's own network at its full width, which this is not
    assert cli.main(["mesh", str(run), "--gpu", "ignore", "--data_dir", str(trained_models / "DTU")]) == 2
    assert "implicit_network.lin0.weight_v is 64 x 39, the conf's 512 x 39" in capsys.readouterr().err
