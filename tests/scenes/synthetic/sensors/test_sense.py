"""Sensors of a whole scene, as files."""

import json

import numpy as np
import pytest
from PIL import Image

from nsr.cli import main as cli
from nsr.errors import SceneError
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.synthetic import SyntheticSpec, make_scene
from nsr.scenes.synthetic.ground_truth import ViewTruth, list_truth
from nsr.scenes.synthetic.recipe import load_recipe
from nsr.scenes.synthetic.sensors.sense import sense_scene
from nsr.scenes.synthetic.sensors.spec import SensorSpec

BALL = dict(shape="sphere", views=2, height=72, width=96, texture="flat", layout="ring", point_lights=1)
EVERYTHING = SensorSpec(stereo=True, structured_light=True, low_resolution=4, pitch=12)
MAPS = ["infrared", "interpolated_depth", "low_resolution_depth", "pattern", "sparse_depth", "stereo_depth"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sensed") / "ball"
    make_scene(folder, SyntheticSpec(**BALL, sensors=EVERYTHING))
    return folder


def read(folder, name, view=0):
    return np.asarray(Image.open(folder / "sensors" / name / f"{view:03d}.png"))


def truth(folder, view=0):
    path = list_truth(folder)[view]
    cameras, _ = read_camera_file(folder / "cameras.npz").cameras(2)
    return ViewTruth.read(path, cameras.intrinsics[view].numpy(), cameras.poses[view].numpy())


def test_every_sensor_writes_its_maps(folder):
    assert sorted(path.name for path in (folder / "sensors").iterdir()) == sorted([*MAPS, "sensors.json"])
    for name in MAPS:
        picture = read(folder, name)
        assert picture.dtype == (np.uint16 if name.endswith("depth") else np.uint8), name
        assert picture.shape == ((18, 24) if name == "low_resolution_depth" else (72, 96)) and picture.any()


def test_depths_are_the_truth_up_to_the_sensor(folder):
    exact = truth(folder).depth
    unit = json.loads((folder / "sensors" / "sensors.json").read_text())["depth_unit"]
    sparse, between = read(folder, "sparse_depth") * unit, read(folder, "interpolated_depth") * unit
    assert np.abs(sparse - exact)[sparse > 0].max() <= unit / 2 + 1e-4
    assert 0.03 < (sparse > 0).sum() / (exact > 0).sum() < 0.5
    found = between > 0
    assert found.sum() > 2 * (sparse > 0).sum() and np.abs(between - exact)[found].mean() < 0.5
    stereo = read(folder, "stereo_depth") * unit
    inside = (stereo > 0) & (exact > 0)
    focal = truth(folder).intrinsics[0, 0]
    expected = 0.08 * np.median(exact[inside]) ** 2 / (focal * 15)  # noise of the disparity, as depth
    error = (stereo - exact)[inside]
    assert 0.5 * expected < np.median(np.abs(error)) / 0.6745 < 1.5 * expected
    assert ((stereo == 0) & (exact > 0)).any() and ((stereo > 0) & (exact == 0)).any()  # holes, and fat outlines
    small = read(folder, "low_resolution_depth") * unit
    assert small[9, 12] == pytest.approx(exact[36:40, 48:52].mean(), abs=unit)


def test_the_truth_knows_its_rays(folder):
    view = truth(folder)
    assert view.directions()[36, 48] == pytest.approx([0.5 / view.intrinsics[0, 0], 0.5 / view.intrinsics[1, 1], 1])
    cosine = view.cosine()
    assert cosine[36, 48] == pytest.approx(1, abs=1e-3) and (cosine[view.depth > 0] > 0).all()
    assert (cosine[view.depth == 0] == 0).all()


def test_the_file_says_what_they_are(folder):
    description = json.loads((folder / "sensors" / "sensors.json").read_text())
    assert description["spec"]["pitch"] == 12 and description["baseline"] == pytest.approx(15)
    assert np.array(description["intrinsics"][1]) == pytest.approx(truth(folder, 1).intrinsics)


def test_the_same_seed_gives_the_same_files_on_an_existing_scene(folder, tmp_path, capsys):
    other = tmp_path / "ball"
    make_scene(other, SyntheticSpec(**BALL))
    assert not (other / "sensors").exists()
    flags = "--stereo --structured_light --low_resolution 4 --pitch 12".split()
    assert cli.main(["scene", "sense", str(other), *flags]) == 0
    for name in MAPS:
        assert (read(other, name, 1) == read(folder, name, 1)).all(), name
    assert cli.main(["scene", "sense", str(other), "--stereo"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_recipe_turns_sensors_on(tmp_path):
    recipe = tmp_path / "ball.conf"
    recipe.write_text("shape = sphere\nsensors { stereo = true, noise = 0.2 }\n")
    assert load_recipe(recipe).sensors == SensorSpec(stereo=True, noise=0.2)
    assert not SyntheticSpec().sensors.any


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (SensorSpec(), "no sensor is on"),
        (SensorSpec(stereo=True, noise=-1.0), "sensors.noise is -1.0; it must be from 0 to 10"),
        (SensorSpec(low_resolution=2, decimation="mean"), "must be one of area, nearest, closest"),
        (SensorSpec(low_resolution=200), "no pixel left"),
        (SensorSpec(stereo=True, depth_unit=1e-4), "raise sensors.depth_unit"),
        (SensorSpec(stereo=True, nearest=5.0, farthest=2.0), "sensors.farthest is 2.0"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_left(folder, tmp_path, spec, message):
    scene = tmp_path / "scene"
    scene.mkdir()
    for name in ("image", "mask", "cameras.npz", "ground_truth"):
        (scene / name).symlink_to(folder / name)
    with pytest.raises(SceneError, match=message):
        sense_scene(scene, spec)
    assert not (scene / "sensors").exists() and not list(scene.glob(".*"))


def test_a_scene_without_truth_is_refused(tmp_path):
    with pytest.raises(SceneError, match="only synthetic scenes"):
        sense_scene(tmp_path, SensorSpec(stereo=True))
