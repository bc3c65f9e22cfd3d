"""Bundles of a scene's views: missing ones are named, bad ones are left out, and never more than one view is lost."""

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest

from nsr.errors import PriorError
from nsr.priors.bundle_file import DepthConvention, DirectionConvention, StoredBundle, write_bundle
from nsr.priors.identity import same_origin, view_header
from nsr.priors.loading import load_bundle, load_bundles
from nsr.scenes.idr_folder import load_scene


def test_bundles_come_in_the_engines_convention(sphere_scene, sphere_maps, write_sphere_bundle, tmp_path):
    for view in (0, 3):
        write_sphere_bundle(tmp_path, view)
    bundles = load_bundles(sphere_scene, tmp_path, [0, 3])
    assert sorted(bundles) == [0, 3]
    for view, bundle in bundles.items():
        exact = sphere_maps(view)
        np.testing.assert_allclose(bundle.depth, exact.ray, rtol=1e-5)
        np.testing.assert_allclose(bundle.normal, exact.normal, atol=1e-5)


def test_a_folder_is_looked_for_in_the_scene(sphere_scene_folder, sphere_scene, write_sphere_bundle):
    scene = replace(sphere_scene, folder=sphere_scene_folder)
    write_sphere_bundle(sphere_scene_folder / "priors", 2)
    assert list(load_bundles(scene, "priors", scene.train_views)) == [2]


def test_views_without_a_bundle_are_named_in_one_line(sphere_scene, write_sphere_bundle, tmp_path, caplog):
    for view in (0, 2, 6, 7):
        write_sphere_bundle(tmp_path, view)
    with caplog.at_level(logging.WARNING, logger="nsr"):
        bundles = load_bundles(sphere_scene, tmp_path, sphere_scene.train_views)
    assert sorted(bundles) == [0, 2, 6, 7]
    [line] = [record.getMessage() for record in caplog.records]
    assert "3 of 7 training views, which train without: 001, 003, 005" in line


BAD = {
    "another scene": (lambda maps: {"scene": "mug"}, "is of the scene mug by its header, not of sphere, and has no"),
    "another view": (lambda maps: {"view": "002"}, "is of view 002 of the scene sphere, not of 001"),
    "a wrong unit": (
        lambda maps: {"depth_convention": DepthConvention("metric", "mm", metres_per_scene_unit=1.0)},
        "only 0% of the object's depths lie in the unit sphere.*the unit is wrong, or",
    ),
    "normals that look away": (lambda maps: {"normal": -maps(1).normal}, "face away from the camera"),
    "normals of another frame": (
        lambda maps: {"normal_convention": DirectionConvention("camera", "opengl")},
        "face away from the camera",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_is_left_out_with_its_reason(
    name, sphere_scene, sphere_maps, write_sphere_bundle, tmp_path, caplog
):
    changes, reason = BAD[name]
    write_sphere_bundle(tmp_path, 0)
    made = write_sphere_bundle(tmp_path / "made", 1, **changes(sphere_maps))
    made.rename(tmp_path / "001.npz")
    with caplog.at_level(logging.WARNING, logger="nsr"):
        assert list(load_bundles(sphere_scene, tmp_path, [0, 1])) == [0]
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("view 001 goes without its priors: ") and "\n" not in line
    with pytest.raises(PriorError, match=reason):
        load_bundle(sphere_scene, 1, tmp_path / "001.npz", "001")


@pytest.fixture
def exact_bundle(sphere_scene, sphere_maps):
    """A bundle of view 1 that knows its picture."""
    exact = sphere_maps(1)
    header = replace(view_header(sphere_scene, 1, "001", exact.frame.size), depth=DepthConvention("metric", "scene"))
    return StoredBundle(header, {"depth": 2.5 * exact.z})


def test_a_bundle_is_known_by_its_picture(sphere_scene_folder, exact_bundle, tmp_path):
    """In a scene that was renamed and copied, at half the size, from compressed pictures, with other cameras."""
    copy = tmp_path / "renamed"
    sphere_scene_folder.rename(copy)
    path = write_bundle(copy / "priors", exact_bundle)
    for image in (copy / "image").iterdir():
        cv2.imwrite(str(image.with_suffix(".jpg")), cv2.imread(str(image)), [cv2.IMWRITE_JPEG_QUALITY, 80])
        image.unlink()
    scene = load_scene(copy, img_res=[24, 32])
    scene.cameras.poses[1, :3, 3] *= 1.02
    assert load_bundle(scene, 1, path, "001").size == (24, 32)


def test_a_bundle_of_another_picture_is_refused(sphere_scene, exact_bundle, tmp_path):
    other = replace(sphere_scene, images=[*sphere_scene.images[:1], sphere_scene.images[2], *sphere_scene.images[2:]])
    path = write_bundle(tmp_path, exact_bundle)
    with pytest.raises(PriorError, match=r"another picture than that of view 001 \(they differ by up to \d+ of"):
        load_bundle(other, 1, path, "001")
    assert same_origin(exact_bundle.header, replace(exact_bundle.header, scene="renamed"))
    assert not same_origin(exact_bundle.header, view_header(other, 1, "001", (48, 64)))
    assert not same_origin(replace(exact_bundle.header, picture=None), replace(exact_bundle.header, scene="renamed"))


def test_depths_that_cannot_be_the_objects_have_no_say(sphere_scene, sphere_maps, write_sphere_bundle, tmp_path):
    """A wall behind it, and a slip of the sensor on it, by as much as floats hold."""
    depth = 2.5 * sphere_maps(1).z
    depth[~sphere_maps(1).mask] = 20.0
    depth[24, 32] = 1e30
    write_sphere_bundle(tmp_path, 1, depth=depth)
    bundle = load_bundles(sphere_scene, tmp_path, [1])[1]
    expected = sphere_maps(1).mask.copy()
    expected[24, 32] = False
    assert np.array_equal(bundle.depth_confidence > 0, expected) and bundle.depth.max() < 4


def test_no_bundle_at_all_is_an_error(sphere_scene, tmp_path):
    with pytest.raises(PriorError, match="no usable bundle of the 7 training views of sphere$"):
        load_bundles(sphere_scene, tmp_path, sphere_scene.train_views)
    for view in (1, 2):
        (tmp_path / f"{view:03d}.npz").write_bytes(b"no bundle")
    with pytest.raises(PriorError, match="views of sphere; the first that is not: .*001.npz: cannot be read"):
        load_bundles(sphere_scene, tmp_path, sphere_scene.train_views)
    with pytest.raises(PriorError, match="no such folder of priors; 'nsr prior import'"):
        load_bundles(sphere_scene, tmp_path / "nowhere", [0])
    with pytest.raises(PriorError, match="it has no folder"):
        load_bundles(replace(sphere_scene, folder=None), tmp_path, [0])
