"""Confs written for IDR and for its descendant are read."""

import pytest

from nsr.config.reader import load_config
from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError

IDR = """
train {
  expname = old
  dataset_class = datasets.scene_dataset.SceneDataset
  model_class = model.implicit_differentiable_renderer.IDRNetwork
  loss_class = model.loss.IDRLoss
  learning_rate = 1.0e-4, num_pixels = 1024, plot_freq = 100
  alpha_milestones = [250, 500, 750, 1000, 1250], alpha_factor = 2
  sched_milestones = [1000, 1500], sched_factor = 0.5
}
plot { plot_nimgs = 1, max_depth = 3.0, resolution = 100 }
loss { eikonal_weight = 0.1, mask_weight = 100.0, alpha = 50.0 }
dataset { data_dir = DTU, img_res = [1200, 1600], scan_id = 114, cam_file = cameras_linear_init.npz }
model {
  feature_vector_size = 0
  implicit_network { d_in = 3, d_out = 1, dims = [512, 512], geometric_init = True, bias = 0.6, skip_in = [1]
                     weight_norm = True, multires = 6 }
  rendering_network { mode = no_view_dir, d_in = 6, d_out = 3, dims = [512], weight_norm = True, multires_view = 0 }
  ray_tracer { object_bounding_sphere = 1.0, sdf_threshold = 5.0e-5, n_steps = 100 }
}
"""

DESCENDANT = """
train {{ dataset_class = a.B, learning_rate_cam = 1.0e-4 }}
model {{
  implicit_network {{ d_in = 3, d_out = 1, multires = {levels} }}
  rendering_network {{ mode = idr, d_in = 9, d_out = 3, {view} multires_view = 4 }}
  embedding_network {{ embed_type = {embed}, log2_max_hash_size = 15, max_points_per_entry = 2,
                       base_resolution = 16, desired_resolution = 512, bound = {bound} }}
}}
"""


@pytest.fixture
def read(tmp_path):
    def load(text):
        path = tmp_path / "old.conf"
        path.write_text(text)
        return load_config(path)

    return load


def test_a_conf_of_idr(read):
    config = read(IDR)
    assert config.train.expname == "old"
    assert config.train.num_pixels == 1024
    assert config.train.alpha_milestones == [0.125, 0.25, 0.375, 0.5, 0.625]
    assert config.train.sched_milestones == [0.5, 0.75]
    assert config.train.plot_freq == 0.05
    assert config.dataset.scan_id == 114
    assert config.dataset.cam_file == "cameras_linear_init.npz"
    assert config.dataset.heldout_every == 0
    assert config.model.feature_vector_size == 0
    assert config.model.implicit_network.encoding == EncodingConfig("PosEnc", {"frequencies": 6})
    assert config.model.rendering_network.mode == "no_view_dir"
    assert config.model.rendering_network.view_encoding == EncodingConfig("PosEnc", {"frequencies": 0})


GRID = {"levels": 6, "features": 2, "log2_table": 15, "base_resolution": 16, "finest_resolution": 512}
VIEW_GRID = {"levels": 4, "features": 2, "log2_table": 3, "base_resolution": 16, "finest_resolution": 512}


@pytest.mark.parametrize(
    ("embed", "name", "options"),
    [
        ("NerfPos", "PosEnc", {"frequencies": 6}),
        ("PositionalEncoding", "PosEnc", {"frequencies": 6}),
        ("FourierFeatures", "FourierFeatures", {"count": 6}),
        ("HashGrid", "MultiResHash", GRID),
        ("HashGridCUDA", "MultiResHash", GRID),
        ("HashGridCuda", "MultiResHash", GRID),
        ("HashGridTcnn", "HashGridTcnn", GRID),
        ("FFB", "FFB", {**GRID, "bound": 0.45}),
        ("FFBTcnn", "FFB_TCNN", {**GRID, "bound": 0.45}),
        ("StyleModNFFB", "FFB_StyleMod", {**GRID, "bound": 0.45}),
    ],
)
def test_point_encodings_by_their_old_names(read, embed, name, options):
    config = read(DESCENDANT.format(embed=embed, levels=6, view="", bound=0.45))
    assert config.model.implicit_network.encoding == EncodingConfig(name, options)
    assert config.model.rendering_network.view_encoding == EncodingConfig("PosEnc", {"frequencies": 4})


@pytest.mark.parametrize(
    ("embed", "expected"),
    [
        ("SHEncoder", EncodingConfig("SHEncoder", {"degree": 4})),
        ("NerfPos", EncodingConfig("PosEnc", {"frequencies": 4})),
        ("FFB", EncodingConfig("FFB", VIEW_GRID)),
    ],
)
def test_view_encodings_by_their_old_names(read, embed, expected):
    config = read(DESCENDANT.format(embed="HashGrid", levels=6, view=f"viewdirs_embed_type = {embed},", bound=1.0))
    assert config.model.rendering_network.view_encoding == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (IDR.replace("d_out = 1,", "d_out = 2,"), "model.implicit_network.d_out = 2"),
        (IDR.replace("d_out = 3,", "d_out = 4,"), "model.rendering_network.d_out = 4"),
        (
            DESCENDANT.format(embed="Tree", levels=6, view="", bound=1.0),
            "embed_type = Tree: unknown encoding; did you mean ",
        ),
        (
            DESCENDANT.format(embed="HashGird", levels=6, view="", bound=1.0),
            "did you mean HashGrid? Known are: NerfPos, ",
        ),
        (
            DESCENDANT.format(embed="FFB, colour = 3", levels=6, view="", bound=1.0),
            "embedding_network.colour: unknown key",
        ),
        (
            DESCENDANT.format(embed="FFB, bounds = 3", levels=6, view="", bound=1.0),
            "bounds: unknown key; did you mean bound? ",
        ),
        (IDR.replace("num_pixels", "num_pixel"), "did you mean train.num_pixels?"),
        (IDR.replace("multires = 6", "multires = 6, depth = 3"), "unknown key model.implicit_network.depth"),
    ],
)
def test_what_cannot_be_expressed_is_an_error(read, text, message):
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert message in str(caught.value)


def test_epochs_in_a_new_conf_become_fractions_and_fractions_stay(read):
    config = read("train { alpha_milestones = [0.5, 1, 500], plot_freq = 1.0, sched_milestones = [1500] }")
    assert config.train.alpha_milestones == [0.5, 1.0, 0.25]
    assert config.train.sched_milestones == [0.75]
    assert config.train.plot_freq == 1.0
    assert config.dataset.heldout_every == 8
