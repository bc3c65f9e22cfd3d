"""Every conf in the repository builds its model and trains."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nsr.config.reader import load_config
from nsr.fields.encoding import encoding_names
from nsr.rendering.model import build_renderer
from nsr.training.prior_terms import TERMS
from nsr.training.trainer import Trainer

CONFS = Path(__file__).resolve().parents[1] / "confs"
ALL = sorted(path for path in CONFS.rglob("*.conf") if path.parent.name != "synthetic")  # which are no runs
SHORT = {
    "train.steps": 2,
    "train.num_pixels": 64,
    "train.hull_resolution": 24,
    "train.hull_fit_steps": 2,
    "train.plot_freq": 0.0,
    "model.ray_tracer.n_steps": 16,
    "model.ray_tracer.n_closest": 16,
    "dataset.heldout_every": 8,
}


def test_each_encoder_has_a_conf_for_fixed_and_for_trained_cameras():
    folder = CONFS / "embedder_conf_var"
    assert {path.name for path in folder.iterdir()} == set(encoding_names())
    for name in encoding_names():
        fixed, trained = (load_config(folder / name / f"dtu_{mode}_cameras.conf") for mode in ("fixed", "trained"))
        for config in (fixed, trained):
            assert config.model.implicit_network.encoding.name == name
            assert config.model.implicit_network.dims == [512] * 8
            assert config.model.rendering_network.dims == [512] * 4
        assert not fixed.train.train_cameras and fixed.dataset.cam_file is None
        assert trained.train.train_cameras and trained.dataset.cam_file == "cameras_linear_init.npz"


def test_object_and_background_of_the_default_conf_have_the_same_colours():
    model = load_config(CONFS / "default.conf").model
    assert model.background.colour_margin == model.rendering_network.colour_margin > 0


def test_the_ablations_leave_out_what_they_say():
    configs = {path.stem: load_config(path) for path in (CONFS / "ablation").glob("*.conf")}
    assert set(configs) == {"noisy_cameras_fixed", "no_feature", "no_normal", "no_view_direction"}
    assert configs["noisy_cameras_fixed"].dataset.cam_file == "cameras_linear_init.npz"
    assert not configs["noisy_cameras_fixed"].train.train_cameras
    assert configs["no_feature"].model.feature_vector_size == 0
    assert configs["no_normal"].model.rendering_network.mode == "no_normal"
    assert configs["no_view_direction"].model.rendering_network.mode == "no_view_dir"


def test_the_confs_of_priors_use_what_they_are_named_after():
    terms = {
        path.stem: {name for name in TERMS if getattr(load_config(path).priors, name).weight > 0}
        for path in (CONFS / "priors").glob("*.conf")
    }
    depth = {"depth", "surface", "free_space"}
    assert terms == {
        "depth": depth,
        "normal": {"normal"},
        "shading": {"shading"},
        "all": {*depth, "normal", "shading"},
    }


def test_no_two_confs_share_a_run_folder():
    names = [load_config(path).train.expname for path in ALL]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(CONFS)))
def test_it_trains(path, sphere_scene, monkeypatch, write_sphere_bundle, tmp_path):
    config = load_config(path, SHORT)
    config.priors.folder = str(tmp_path)
    for view in sphere_scene.train_views if path.parent.name == "priors" else ():
        colour = np.full((48, 64, 3), 0.5, np.float32)
        write_sphere_bundle(tmp_path, view, albedo=colour, sh=np.full((9, 3), 0.5, np.float32))
    # The fit of the sphere has its own tests; the geometric start that it improves is near enough here.
    monkeypatch.setattr("nsr.training.start.initialise_sphere", lambda field, radius: None)
    trainer = Trainer(config, sphere_scene, torch.device("cpu"))
    before = {name: parameter.detach().clone() for name, parameter in trainer.renderer.named_parameters()}
    for _ in range(2):
        losses = trainer.step()
        assert all(torch.isfinite(value) for value in losses.values())
    after = dict(trainer.renderer.named_parameters())
    untouched = [name for name, value in before.items() if torch.equal(value, after[name])]
    assert not untouched
    if config.train.train_cameras:
        assert not torch.equal(trainer.cameras.poses, trainer.given_cameras.poses)


OLDER_NAMES = (
    "NerfPos PositionalEncoding FourierFeatures HashGrid HashGridCUDA HashGridCuda HashGridTcnn FFB FFBTcnn "
    "StyleModNFFB SHEncoder"
).split()
OLDER = """
model {{
  implicit_network {{ d_in = 3, d_out = 1, dims = [128, 128], skip_in = [], multires = 5 }}
  rendering_network {{ mode = idr, d_in = 9, d_out = 3, dims = [32], {view}_embed_type = {embed}, multires_view = 4 }}
  embedding_network {{ embed_type = {embed}, log2_max_hash_size = 5, max_points_per_entry = 2, base_resolution = 16,
                       desired_resolution = 512, bound = 0.45 }}
}}
"""


@pytest.mark.parametrize("view", ["viewdirs", "rgb"])
@pytest.mark.parametrize("embed", OLDER_NAMES)
def test_older_confs_build_with_each_encoding_that_they_name(embed, view, tmp_path):
    path = tmp_path / "older.conf"
    path.write_text(OLDER.format(embed=embed, view=view))
    renderer = build_renderer(load_config(path).model)
    sdf, gradient, feature = renderer.sdf.geometry(torch.rand(5, 3) - 0.5)
    directions = torch.nn.functional.normalize(gradient, dim=1)
    assert renderer.radiance(torch.rand(5, 3), directions, gradient, feature).shape == (5, 3)
    assert torch.isfinite(sdf).all()
