"""Photographs as cameras write them: turned, grey, deep, and of sizes that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from nsr.errors import SceneError
from nsr.scenes.importing.photograph import ORIENTATION_TAG, fit_camera, header, read_photograph, upright
from nsr.scenes.importing.source import SourceView

K = np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])


def save_turned(path, orientation, size=(64, 48)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_what_pillow_makes(tmp_path, orientation):
    pixels = save_turned(tmp_path / "a.png", orientation)
    assert header(tmp_path / "a.png") == ((48, 64), orientation)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(upright(pixels, orientation), np.array(ImageOps.exif_transpose(picture)))


def view(path, size):
    return SourceView(path.name, path, K, np.eye(4), size)


def test_a_camera_belongs_to_the_stored_pixels_where_they_fit(tmp_path, caplog):
    save_turned(tmp_path / "a.png", 6)
    assert fit_camera(view(tmp_path / "a.png", (48, 64)))[1:] == ((48, 64), 1)
    assert not caplog.text
    save_turned(tmp_path / "b.png", 3)
    assert fit_camera(view(tmp_path / "b.png", (48, 64)))[1:] == ((48, 64), 1)
    assert "held another way (orientation 3)" in caplog.text


def test_a_camera_for_the_upright_picture_turns_it(tmp_path):
    pixels = save_turned(tmp_path / "a.png", 6)
    intrinsics, size, orientation = fit_camera(view(tmp_path / "a.png", (64, 48)))
    assert size == (64, 48) and orientation == 6
    np.testing.assert_array_equal(intrinsics, K)
    np.testing.assert_array_equal(read_photograph(tmp_path / "a.png", orientation), np.rot90(pixels, -1))


def test_a_camera_for_a_larger_copy_is_scaled(tmp_path):
    save_turned(tmp_path / "a.png", 1)
    intrinsics, size, _ = fit_camera(view(tmp_path / "a.png", (96, 128)))
    np.testing.assert_allclose(intrinsics, [[25, 0, 15.5], [0, 25, 11.5], [0, 0, 1]])
    assert size == (48, 64)


def test_a_picture_of_another_shape(tmp_path):
    save_turned(tmp_path / "a.png", 1)
    with pytest.raises(SceneError, match="a.png: the photograph is 64x48 but its camera is for 64x64"):
        fit_camera(view(tmp_path / "a.png", (64, 64)))


def test_grey_and_sixteen_bit_pictures(tmp_path):
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp * 257).save(tmp_path / "deep.png")
    Image.fromarray(ramp * 257).save(tmp_path / "deep.tif")
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "grey.png")
    for name in ("deep.png", "deep.tif", "grey.png"):
        np.testing.assert_array_equal(read_photograph(tmp_path / name), np.repeat(ramp[..., None], 3, axis=2))


def test_something_that_is_no_picture(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(SceneError, match="a.png: cannot be read .not a picture"):
        header(tmp_path / "a.png")
