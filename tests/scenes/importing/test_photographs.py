"""A folder of photographs through COLMAP itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from nsr.cli.scene_import import FORMATS as COMMAND_FORMATS
from nsr.errors import SceneError
from nsr.evaluation.camera_accuracy import compare_cameras
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.importing.formats import FORMATS, detect_format
from nsr.scenes.importing.import_scene import ImportOptions, import_scene
from nsr.scenes.importing.photographs import read_photographs
from nsr.scenes.sparse_points import read_sparse_points
from nsr.scenes.synthetic import DEFAULT_SPEC, make_scene

SPEC = dataclasses.replace(
    DEFAULT_SPEC, shape="sphere", layout="ring", views=14, height=256, width=288, texture_wavelength=0.08, specular=0.0,
    supersampling=1, shadows=False, distance=3.6,
)  # fmt: skip


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    pytest.importorskip("pycolmap", reason="COLMAP comes with pycolmap")
    folder = tmp_path_factory.mktemp("photos") / "scene"
    make_scene(folder, SPEC)
    return folder


def test_colmap_finds_the_cameras_of_rendered_pictures(rendered, tmp_path):
    """One photograph lies on its side, upright by its EXIF tag alone."""
    photographs = tmp_path / "holiday photographs"
    photographs.mkdir()
    for path in sorted((rendered / "image").iterdir()):
        (photographs / path.name).write_bytes(path.read_bytes())
    with Image.open(rendered / "image" / "003.png") as picture:
        exif = Image.Exif()
        exif[274] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(photographs / "003.png", exif=exif)
    assert detect_format(photographs) == "photographs"
    import_scene(photographs, tmp_path / "scene", ImportOptions(masks=rendered / "mask", format="photographs"))
    truth, found = (load_scene(folder, heldout_every=0) for folder in (rendered, tmp_path / "scene"))
    assert len(found) == len(truth)
    accuracy = compare_cameras(found.cameras.poses.double().numpy(), truth.cameras.poses.double().numpy())
    assert accuracy.rotation_degrees.mean() < 0.5 and accuracy.rotation_degrees.max() < 1
    assert accuracy.centre_distances.mean() < 0.01 * SPEC.distance
    assert found.images[3].shape == truth.images[3].shape
    for view in (0, 3):  # the same picture, up to the lens that COLMAP believes in
        difference = (found.images[view].float() - truth.images[view].float()).abs().median()
        assert difference < 25
    points = read_sparse_points(tmp_path / "scene" / "sparse_points.npz", len(found))
    assert len(points) > 100
    reach = np.linalg.norm(found.to_normalised(points.positions), axis=1)
    assert 0.6 < np.median(reach) < 1  # on the object, for which the unit sphere was made


def test_pictures_that_show_nothing(tmp_path):
    pytest.importorskip("pycolmap", reason="COLMAP comes with pycolmap")
    for view in range(4):
        Image.new("RGB", (64, 48), (90, 90, 90 + view)).save(tmp_path / f"{view}.png")
    with pytest.raises(SceneError, match="COLMAP could not place the photographs: they need texture"):
        read_photographs(tmp_path, matcher="sequential")


def test_too_few_photographs_and_unknown_matchers(tmp_path):
    with pytest.raises(SceneError, match="0 photographs are too few"):
        read_photographs(tmp_path)
    for view in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"{view}.png")
    with pytest.raises(SceneError, match="unknown matcher vocabulary; known are exhaustive, sequential"):
        read_photographs(tmp_path, matcher="vocabulary")


def test_without_pycolmap_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    for view in range(3):
        Image.new("RGB", (64, 48)).save(tmp_path / f"{view}.png")
    with pytest.raises(SceneError, match="pip install pycolmap"):
        read_photographs(tmp_path)


def test_the_command_knows_every_format():
    assert set(COMMAND_FORMATS) == set(FORMATS)
