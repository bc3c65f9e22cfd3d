"""Confs to typed dataclasses and back."""

import dataclasses
from pathlib import Path

import pytest

from nsr.config.reader import dump_config, load_config, load_settings
from nsr.config.schema import Config, EncodingConfig
from nsr.errors import ConfigError

CONFS = Path(__file__).resolve().parents[2] / "confs"


@pytest.fixture
def conf(tmp_path):
    """Write a conf file and give its path."""

    def write(text, name="a.conf"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def error_of(path, overrides=None):
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_an_empty_conf_is_the_defaults(conf):
    assert load_config(conf("")) == Config()


def test_values_land_in_their_dataclasses(conf):
    config = load_config(conf("""
        train { steps = 10, learning_rate = 1 }
        dataset.img_res = [300, 400]
        dataset { cam_file = null }
        model.implicit_network { dims = [64, 64], weight_norm = False }
        model.rendering_network.position_encoding { name = MultiResHash, levels = 4 }
    """))
    assert config.train.steps == 10
    assert config.train.learning_rate == 1.0 and type(config.train.learning_rate) is float
    assert config.dataset.img_res == [300, 400]
    assert config.dataset.cam_file is None
    assert config.model.implicit_network.dims == [64, 64]
    assert config.model.implicit_network.weight_norm is False
    assert config.model.implicit_network.skip_in == [4]
    assert config.model.rendering_network.position_encoding == EncodingConfig("MultiResHash", {"levels": 4})


def test_a_named_encoding_replaces_the_default_options(conf):
    config = load_config(conf("model.implicit_network.encoding { name = MultiResHash, levels = 10, features = 2 }"))
    assert config.model.implicit_network.encoding == EncodingConfig("MultiResHash", {"levels": 10, "features": 2})


def test_options_without_a_name_change_the_default_encoding(conf):
    config = load_config(conf("model.implicit_network.encoding.frequencies = 8"))
    assert config.model.implicit_network.encoding == EncodingConfig("PosEnc", {"frequencies": 8})


def test_include_inherits_and_what_follows_wins(conf):
    conf("train { steps = 5, seed = 3 }\nmodel.implicit_network.encoding { name = PosEnc, frequencies = 6 }", "b.conf")
    path = conf("""
        include "b.conf"
        train.steps = 7
        model.implicit_network.encoding = null
        model.implicit_network.encoding { name = MultiResHash, levels = 2 }
    """)
    config = load_config(path)
    assert (config.train.steps, config.train.seed) == (7, 3)
    assert config.model.implicit_network.encoding == EncodingConfig("MultiResHash", {"levels": 2})


def test_a_missing_include_is_an_error(conf):
    assert "gone.conf does not exist" in error_of(conf('include "gone.conf"\ntrain.steps = 1'))
    assert "gone.conf does not exist" in error_of(conf('include required("gone.conf")\ntrain.steps = 1'))


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("train.learning_rat = 1", "train.learning_rat", "did you mean train.learning_rate?"),
        ("train.mask_weight = 1", "train.mask_weight", "did you mean loss.mask_weight?"),
        ("model.implicit_netwrok { bias = 1 }", "model.implicit_netwrok", "did you mean model.implicit_network?"),
        (
            "model.implicit_network.skip = [1]",
            "model.implicit_network.skip",
            "did you mean model.implicit_network.skip_in?",
        ),
        ("tain.steps = 1", "tain", "did you mean train?"),
        ("plot.zzz = 1", "plot.zzz", "valid here: resolution, max_depth"),
    ],
)
def test_an_unknown_key_names_file_key_and_the_nearest_valid_one(conf, text, key, suggestion):
    path = conf(text)
    assert error_of(path) == f"{path}: unknown key {key}; {suggestion}"


@pytest.mark.parametrize(
    ("text", "key", "wanted"),
    [
        ("train.steps = 1.5", "train.steps = 1.5", "a whole number"),
        ("train.steps = true", "train.steps = true", "a whole number"),
        ("train.steps = many", 'train.steps = "many"', "a whole number"),
        ("train.steps = null", "train.steps = null", "a whole number"),
        ("train.learning_rate = true", "train.learning_rate = true", "a number"),
        ("train.learning_rate = 10 s", "train.learning_rate = ", "a number"),
        ("train.expname = 3", "train.expname = 3", "text"),
        ("model.implicit_network.weight_norm = 1", "weight_norm = 1", "true or false"),
        ("model.implicit_network.dims = 512", "dims = 512", "a list of whole numbers"),
        ("model.implicit_network.dims = [512, big]", 'dims.1 = "big"', "a whole number"),
        ("train.sched_milestones = [yes]", "sched_milestones.0 = ", "a number"),
        ("dataset.img_res = {a = 1}", 'img_res = {"a": 1}', "a list of whole numbers"),
        ("train = 5", "train = 5", "a block"),
        ("model.implicit_network.encoding = PosEnc", 'encoding = "PosEnc"', "a block"),
    ],
)
def test_a_wrong_type_names_key_value_and_what_is_wanted(conf, text, key, wanted):
    path = conf(text)
    message = error_of(path)
    assert message.startswith(f"{path}: ")
    assert key in message and f"this key wants {wanted}" in message


@pytest.mark.parametrize("text", ["train { steps = 1", "= 3", "a = [1,", "a = ${nowhere}"])
def test_broken_hocon_is_one_line_that_names_the_file(conf, text):
    path = conf(text)
    assert error_of(path).startswith(str(path))


def test_files_that_are_not_confs(tmp_path, conf):
    assert "no such conf file" in error_of(tmp_path / "none.conf")
    assert "is a folder" in error_of(tmp_path)
    (tmp_path / "binary.conf").write_bytes(b"\xff\xfe\x00train")
    assert "not a text file" in error_of(tmp_path / "binary.conf")
    assert "a list" in error_of(conf("[1, 2]"))


def test_overrides_win_and_are_checked(conf):
    path = conf("train.steps = 5")
    assert load_config(path, {"train.steps": 9, "dataset.img_res": [1, 2]}).train.steps == 9
    config = load_config(path, ["train.steps=9", "train.expname = x", "model.implicit_network.encoding.frequencies=2"])
    assert (config.train.steps, config.train.expname) == (9, "x")
    assert config.model.implicit_network.encoding == EncodingConfig("PosEnc", {"frequencies": 2})
    assert error_of(path, ["train.stps=9"]) == "command line: unknown key train.stps; did you mean train.steps?"
    assert error_of(path, {"train.steps": 1.5}).startswith("command line: train.steps = 1.5")
    assert "KEY=VALUE" in error_of(path, ["train.steps"])


def test_a_dumped_conf_reads_back_equal(tmp_path):
    config = Config()
    config.train.expname = 'quotes " # and ${signs} ü'
    config.train.learning_rate = 5e-05
    config.train.gradient_clip = 1e-15
    config.train.alpha_milestones = []
    config.dataset.img_res = [3, 4]
    config.dataset.data_dir = r"C:\scenes"
    config.model.implicit_network.encoding = EncodingConfig("X", {"levels": 3, "deep": {"a": [1.5, 2]}, "on": True})
    config.model.rendering_network.position_encoding = EncodingConfig("Y", {})
    path = tmp_path / "run.conf"
    dump_config(config, path)
    assert load_config(path) == config
    assert [file.name for file in tmp_path.iterdir()] == ["run.conf"]


def test_a_dump_that_fails_leaves_nothing_behind(tmp_path):
    config = Config()
    config.train.steps = object()
    with pytest.raises(TypeError):
        dump_config(config, tmp_path / "run.conf")
    assert list(tmp_path.iterdir()) == []


RUNS = sorted(path for path in CONFS.rglob("*.conf") if path.parent.name != "synthetic")


@pytest.mark.parametrize("path", RUNS, ids=lambda path: str(path.relative_to(CONFS)))
def test_every_conf_of_the_project_loads_and_round_trips(path, tmp_path):
    config = load_config(path)
    dump_config(config, tmp_path / "run.conf")
    assert load_config(tmp_path / "run.conf") == config


def test_idr_conf_is_the_schema_of_idr_as_published():
    ours = load_config(CONFS / "idr.conf")
    ours.dataset = Config().dataset
    assert ours.plot.max_depth == 3.0  # IDR's; the schema's own default follows the bounding sphere
    ours.plot.max_depth = Config().plot.max_depth
    assert dataclasses.asdict(ours) == dataclasses.asdict(Config())


@pytest.mark.parametrize("name", ["idr", "embedder_conf_var/PosEnc/dtu_fixed_cameras",
                                  "embedder_conf_var/PosEnc/dtu_trained_cameras"])
def test_confs_that_reproduce_idr_hold_no_view_out(name):
    config = load_config(CONFS / f"{name}.conf")
    assert config.dataset.heldout_every == 0
    trained = name.endswith("trained_cameras")
    assert config.train.train_cameras == trained
    assert config.dataset.cam_file == ("cameras_linear_init.npz" if trained else None)


@dataclasses.dataclass
class Lamp:
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    watts: int = 40


def test_other_settings_than_runs_are_read_alike(tmp_path):
    path = tmp_path / "lamp.conf"
    path.write_text("colour = [0.5, 1, 0]")
    assert load_settings(path, Lamp) == Lamp((0.5, 1.0, 0.0), 40)
    for text, message in (
        ("colour = [1, 2]", "colour = .*: this key wants a list of 3 numbers"),
        ("colour = 3", "a list of 3 numbers"),
        ("wats = 3", "unknown key wats; did you mean watts"),
        ("seed = 3", "unknown key seed; valid here: colour, watts"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            load_settings(path, Lamp)
