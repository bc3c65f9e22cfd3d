"""COLMAP models: text, binary, and what COLMAP itself writes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nsr.errors import SceneError
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.importing.colmap import read_colmap
from nsr.scenes.importing.import_scene import ImportOptions, import_scene
from nsr.scenes.importing.normalisation import Sphere
from nsr.scenes.sparse_points import read_sparse_points

TRACKS = [[3, 1], [2], [8, 5, 1]]  # numbers of images, which begin at 1 and are those of the reversed order of names


def write_text(capture, folder):
    """By hand from the format's description: every view its own camera, images in reversed order of names."""
    folder.mkdir(parents=True)
    cameras, images = ["# Camera list"], ["# Image list"]
    for view, (name, k, pose) in enumerate(zip(capture.names, capture.intrinsics, capture.poses, strict=True)):
        number = 8 - view
        parameters = " ".join(map(str, (k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5)))
        cameras.append(f"{number} PINHOLE 64 48 {parameters}")
        x, y, z, w = Rotation.from_matrix(pose[:3, :3].T).as_quat()
        t = -pose[:3, :3].T @ pose[:3, 3]
        entries = " ".join(f"{value:.17g}" for value in (w, x, y, z, *t))
        images += [f"{number} {entries} {number} {name}", "" if view % 2 else "1.5 2.5 -1 3 4 7"]
    points = ["# Points"]
    for index, (position, track) in enumerate(zip(capture.surface_points(3), TRACKS, strict=True)):
        entries = " ".join(f"{value:.17g}" for value in position)
        points.append(f"{index + 1} {entries} 9 9 9 0.{index + 1} " + " ".join(f"{image} 0" for image in track))
    for name, lines in (("cameras", cameras), ("images", images), ("points3D", points)):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_binary(capture, folder):
    folder.mkdir(parents=True)
    cameras, images, points = [struct.pack("<Q", 8)], [struct.pack("<Q", 8)], [struct.pack("<Q", 3)]
    for view, (name, k, pose) in enumerate(zip(capture.names, capture.intrinsics, capture.poses, strict=True)):
        number = 8 - view
        cameras.append(struct.pack("<iiQQ4d", number, 1, 64, 48, k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5))
        x, y, z, w = Rotation.from_matrix(pose[:3, :3].T).as_quat()
        t = -pose[:3, :3].T @ pose[:3, 3]
        images.append(struct.pack("<i7di", number, w, x, y, z, *t, number) + name.encode() + b"\0")
        images.append(struct.pack("<Q", 1) + struct.pack("<ddq", 1.5, 2.5, -1) if view % 2 else struct.pack("<Q", 0))
    for index, (position, track) in enumerate(zip(capture.surface_points(3), TRACKS, strict=True)):
        points.append(struct.pack("<Q3d3BdQ", index + 1, *position, 9, 9, 9, 0.1 * (index + 1), len(track)))
        points += [struct.pack("<ii", image, 0) for image in track]
    for name, parts in (("cameras", cameras), ("images", images), ("points3D", points)):
        (folder / f"{name}.bin").write_bytes(b"".join(parts))


@pytest.fixture(params=[write_text, write_binary], ids=["text", "binary"])
def model(request, capture, tmp_path):
    """A project folder with images/, masks/ and sparse/0."""
    folder = tmp_path / "mein Modell"
    request.param(capture, folder / "sparse" / "0")
    capture.save(folder / "images")
    capture.save_masks(folder / "masks")
    return folder


def test_a_model_becomes_the_scene_that_it_is(model, capture, tmp_path):
    report = import_scene(model, tmp_path / "scene", ImportOptions(masks=model / "masks"))
    assert report.format == "colmap" and report.views == 8 and report.points == 3
    capture.assert_imported(tmp_path / "scene")
    points = read_sparse_points(tmp_path / "scene" / "sparse_points.npz", 8)
    np.testing.assert_allclose(points.positions, capture.surface_points(3))
    np.testing.assert_allclose(points.errors, [0.1, 0.2, 0.3])
    assert points.offsets.tolist() == [0, 2, 3, 6]
    assert points.views.tolist() == [5, 7, 6, 0, 3, 7]  # image n is view 8 - n


def test_a_choice_of_views_takes_its_points_along(model, capture, tmp_path):
    names = [capture.names[view] for view in (7, 5, 3, 0)]
    import_scene(model, tmp_path / "scene", ImportOptions(masks=model / "masks", views=names))
    points = read_sparse_points(tmp_path / "scene" / "sparse_points.npz", 4)
    np.testing.assert_allclose(points.positions, capture.surface_points(3)[[0, 2]])
    assert points.views.tolist() == [2, 3, 0, 1, 3]


@pytest.mark.parametrize("model", [write_text], indirect=True)
def test_two_camera_models_in_one_scene(model, capture, tmp_path):
    """One view through a fisheye: its picture is resampled, the others are not."""
    path = model / "sparse" / "0" / "cameras.txt"
    lines = path.read_text().splitlines()
    number, _, width, height, *parameters = lines[1].split()
    lines[1] = " ".join([number, "OPENCV_FISHEYE", width, height, *parameters, "0.01", "0", "0", "0"])
    path.write_text("\n".join(lines))
    import_scene(model, tmp_path / "scene", ImportOptions(masks=model / "masks"))
    source = read_colmap(model)
    assert [view.lens.projection for view in source.views] == ["equidistant"] + ["perspective"] * 7


def test_without_masks_grabcut_is_seeded_by_the_points(model, capture, tmp_path):
    """Three points, the object's sphere by hand, and a background of one grey."""
    report = import_scene(model, tmp_path / "scene", ImportOptions(sphere=Sphere(capture.centre, 1.3 * capture.radius)))
    assert report.masks == "grabcut"
    for mask, truth in zip(load_scene(tmp_path / "scene").masks, capture.masks, strict=True):
        assert (mask.numpy() & truth).sum() / (mask.numpy() | truth).sum() > 0.9


@pytest.mark.parametrize("part", ["cameras", "images"])
def test_half_a_model(model, part):
    for path in (model / "sparse" / "0").glob(f"{part}.*"):
        path.unlink()
    with pytest.raises(SceneError, match=f"half a COLMAP model: {part}"):
        read_colmap(model)


@pytest.mark.parametrize("part", ["cameras", "images", "points3D"])
def test_a_model_that_is_cut_short(model, part):
    (path,) = (model / "sparse" / "0").glob(f"{part}.*")
    content = path.read_bytes().rstrip()
    if path.suffix == ".txt":  # in the middle of a line
        path.write_bytes(content[: content.rindex(b" ") - (40 if part == "images" else 3)])
    else:
        path.write_bytes(content[:-7])
    with pytest.raises(SceneError, match=f"{part}.*(damaged or cut short|parameters)"):
        read_colmap(model)


def test_missing_photographs_are_counted(model, capture):
    for name in capture.names[2:5]:
        (model / "images" / name).unlink()
    with pytest.raises(SceneError, match="3 of 8 photographs are missing, first of all bild 2é.png.*--images"):
        read_colmap(model)


@pytest.mark.parametrize("model", [write_text], indirect=True)
def test_an_image_without_a_camera(model):
    path = model / "sparse" / "0" / "cameras.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(SceneError, match="has camera 1, which the model does not have"):
        read_colmap(model)


@pytest.mark.parametrize("model", [write_text], indirect=True)
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 KANNALA 64 48 50 32 24", "unknown camera model KANNALA; known are SIMPLE_PINHOLE"),
        ("1 EQUIRECTANGULAR 64 48 64 48", "panorama"),
        ("1 RADIAL 64 48 50 32 24", "RADIAL has 5 parameters, but 3"),
        ("1 PINHOLE 64 48 50 nan 32 24", "NaN or infinite"),
    ],
)
def test_cameras_that_cannot_be_used(model, line, message):
    path = model / "sparse" / "0" / "cameras.txt"
    path.write_text(line)
    with pytest.raises(SceneError, match=message):
        read_colmap(model)


@pytest.mark.parametrize("model", [write_binary], indirect=True)
def test_an_unknown_model_number(model):
    path = model / "sparse" / "0" / "cameras.bin"
    path.write_bytes(struct.pack("<QiiQQ", 1, 1, 99, 64, 48))
    with pytest.raises(SceneError, match="unknown camera model number 99"):
        read_colmap(model)
