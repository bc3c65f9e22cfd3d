"""``nsr prior import`` on the sphere scene: exact files in, exact bundles out; bad ones leave nothing behind."""

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from nsr.cli.main import main
from nsr.errors import PriorError
from nsr.priors.bundle_file import DepthConvention, DirectionConvention, read_bundle
from nsr.priors.importing.formats import DepthPictures, NormalMaps
from nsr.priors.importing.import_bundles import import_bundles
from nsr.priors.loading import load_bundles

VIEWS = (0, 1, 5)
SCENE_MM = DepthConvention("metric", "mm", metres_per_scene_unit=1.0)  # a world unit is a metre


@pytest.fixture
def scene(sphere_scene, sphere_scene_folder):
    return replace(sphere_scene, folder=sphere_scene_folder)


@pytest.fixture
def sensor(sphere_maps, tmp_path):
    """A folder of 16-bit depth pictures in millimetres of the views ``VIEWS``."""
    folder = tmp_path / "sensor"
    folder.mkdir()
    for view in VIEWS:
        depth = np.round(2500 * sphere_maps(view).z).astype(np.uint16)
        assert cv2.imwrite(str(folder / f"{view:03d}.png"), depth)
    return folder


def test_a_depth_sensors_pictures_become_bundles(scene, sensor, sphere_maps, capsys):
    arguments = ["--format", "depth-png", "--unit", "mm", "--scene_unit", "m"]
    assert main(["prior", "import", str(scene.folder), str(sensor), *arguments]) == 0
    out = capsys.readouterr().out
    assert f"bundles: 3 views in {scene.folder / 'priors'}" in out
    assert "nothing for 5 of 8 views: 002, 003, 004, 006, 007" in out
    bundles = load_bundles(scene, "priors", VIEWS)
    for view in VIEWS:
        np.testing.assert_allclose(bundles[view].depth, sphere_maps(view).ray, atol=3e-4)
        picture = cv2.imread(str(scene.folder / "priors" / f"{view:03d}.png"))
        assert picture.shape == (48, 128, 3) and picture.std() > 20
    assert read_bundle(scene.folder / "priors" / "000.npz").header.source == "depth sensor"


def test_maps_of_two_imports_stand_beside_each_other(scene, sensor, sphere_maps, tmp_path):
    import_bundles(scene, DepthPictures(sensor, SCENE_MM), tmp_path / "priors")
    (tmp_path / "normals").mkdir()
    for view in VIEWS:
        np.save(tmp_path / "normals" / f"{view:03d}.npy", sphere_maps(view).normal)
    world = NormalMaps(tmp_path / "normals", DirectionConvention("world"))
    import_bundles(scene, world, tmp_path / "priors")
    for view, bundle in load_bundles(scene, tmp_path / "priors", VIEWS).items():
        np.testing.assert_allclose(bundle.depth, sphere_maps(view).ray, atol=3e-4)
        np.testing.assert_allclose(bundle.normal, sphere_maps(view).normal, atol=1e-5)
    header = read_bundle(tmp_path / "priors" / "005.npz").header
    assert header.source == "depth sensor and normal maps"
    import_bundles(scene, world, tmp_path / "priors")  # again: the same, not twice
    assert read_bundle(tmp_path / "priors" / "005.npz").header == header


def test_maps_of_another_size_do_not_mix(scene, sensor, sphere_maps, tmp_path):
    import_bundles(scene, DepthPictures(sensor, SCENE_MM), tmp_path / "priors")
    (tmp_path / "normals").mkdir()
    for view in VIEWS:
        np.save(tmp_path / "normals" / f"{view:03d}.npy", sphere_maps(view).normal[::2, ::2])
    before = (tmp_path / "priors" / "000.npz").read_bytes()
    with pytest.raises(PriorError, match="the bundle that is there has width 64, the new one 32"):
        import_bundles(scene, NormalMaps(tmp_path / "normals", DirectionConvention("world")), tmp_path / "priors")
    assert (tmp_path / "priors" / "000.npz").read_bytes() == before


def spoil_with_unit(sensor):
    return DepthPictures(sensor, DepthConvention("metric", "m", metres_per_scene_unit=1.0))


def spoil_last(sensor):
    assert cv2.imwrite(str(sensor / "005.png"), np.full((48, 64), 65535, np.uint16))
    return DepthPictures(sensor, SCENE_MM)


def spoil_size(sensor):
    assert cv2.imwrite(str(sensor / "005.png"), np.full((48, 50), 3000, np.uint16))
    return DepthPictures(sensor, SCENE_MM)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_with_unit, "sphere, view 000: only 0% of the object's depths lie in the unit sphere"),
        (spoil_last, "sphere, view 005: only 0% of the object's depths"),
        (spoil_size, "sphere, view 005: the maps are 50 x 48 .* but the view is 64 x 48"),
    ],
)
def test_one_bad_file_and_nothing_is_written(spoil, message, scene, sensor, tmp_path):
    with pytest.raises(PriorError, match=message):
        import_bundles(scene, spoil(sensor), tmp_path / "priors")
    assert not (tmp_path / "priors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--format depth-png needs --unit: mm, m or scene"),
        (["--unit", "mm"], "nothing says what a world unit of the scene is"),
        (["--unit", "mm", "--scene_unit", "feet"], "--scene_unit is 'feet'; it must be mm, m or a number"),
    ],
)
def test_units_must_be_said(arguments, message, scene, sensor, capsys):
    assert main(["prior", "import", str(scene.folder), str(sensor), "--format", "depth-png", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (scene.folder / "priors").exists()


def test_the_command_is_a_command(scene, tmp_path):
    command = [sys.executable, "-m", "nsr.cli.main", "prior", "import", str(scene.folder), str(tmp_path), "--format"]
    done = subprocess.run([*command, "monosdf"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("nsr: error: ") and done.stderr.count("\n") == 1
    assert "there are no files *_depth.npy or *_normal.npy in it" in done.stderr
