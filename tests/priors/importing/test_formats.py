"""Files written as other programs write them, read back; and what is wrong with bad ones, in one line."""

import json

import cv2
import numpy as np
import pytest

from nsr.errors import PriorError
from nsr.priors.bundle_file import DepthConvention, DirectionConvention
from nsr.priors.importing.files import match_files, read_png
from nsr.priors.importing.formats import DepthPictures, MonocularArrays, NormalMaps, read_intrinsics

MILLIMETRES = DepthConvention("metric", "mm", metres_per_scene_unit=0.001)
CAMERA = DirectionConvention("camera", "opengl")


def unit_normals(shape, seed=0):
    normal = np.random.default_rng(seed).normal(size=(*shape, 3))
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def write_picture(path, picture):
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1] if picture.ndim == 3 else picture)


def test_a_sensors_depth_and_confidence(tmp_path):
    counts = np.array([[0, 1500, 65535], [1, 700, 0]], dtype=np.uint16)
    trust = np.array([[255, 255, 51], [0, 102, 255]], dtype=np.uint8)
    write_picture(tmp_path / "depth" / "003.png", counts)
    write_picture(tmp_path / "sure" / "003.png", trust)
    reader = DepthPictures(tmp_path / "depth", MILLIMETRES, counts=5.0, confidence=tmp_path / "sure")
    assert reader.views(["002", "003"]) == ["003"]
    maps = reader.read("003")
    assert np.array_equal(maps.arrays["depth"], counts / np.float32(5))
    np.testing.assert_allclose(maps.arrays["depth_confidence"], [[0, 1, 0.2], [0, 0.4, 0]], atol=1e-6)
    assert maps.conventions == {"depth": MILLIMETRES} and maps.intrinsics is None


def test_real_depth_pictures(data_root):
    folder = data_root / "depth" / "livingroom" / "depth"
    names = sorted(path.stem for path in folder.glob("*.png"))
    reader = DepthPictures(folder, DepthConvention("metric", "mm", metres_per_scene_unit=1.0))
    assert reader.views(names) == names
    depth = reader.read(names[0]).arrays["depth"]
    assert depth.shape == (480, 640) and 500 < np.median(depth[depth > 0]) < 10_000


def test_monosdfs_arrays(tmp_path):
    depth = np.random.default_rng(0).random((4, 5)).astype(np.float32)
    normal = unit_normals((4, 5))
    np.save(tmp_path / "000001_depth.npy", depth)
    np.save(tmp_path / "000001_normal.npy", ((np.moveaxis(normal, -1, 0) + 1) / 2).astype(np.float32))
    np.save(tmp_path / "000002_depth.npy", depth[None])
    reader = MonocularArrays(tmp_path)
    assert reader.views(["000000_rgb", "000001_rgb", "000002_rgb"]) == ["000001_rgb", "000002_rgb"]
    maps = reader.read("000001_rgb")
    assert maps.conventions == {"depth": DepthConvention("affine"), "normal": DirectionConvention("camera", "opencv")}
    assert np.array_equal(maps.arrays["depth"], depth)
    np.testing.assert_allclose(maps.arrays["normal"], normal, atol=1e-6)
    assert maps.arrays["normal_confidence"].all()
    assert set(reader.read("000002_rgb").arrays) == {"depth"}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_normal_pictures(kind, tmp_path):
    normal = unit_normals((6, 7))
    full = np.iinfo(kind).max
    picture = np.round((normal + 1) / 2 * full).astype(kind)
    picture[0, 0], picture[0, 1] = 0, (full + 1) // 2  # black and grey: no normal
    write_picture(tmp_path / "a.png", picture)
    reader = NormalMaps(tmp_path, CAMERA)
    assert reader.views(["a"]) == ["a"]
    maps = reader.read("a")
    confidence = np.ones((6, 7))
    confidence[0, :2] = 0
    assert np.array_equal(maps.arrays["normal_confidence"], confidence)
    known = confidence > 0
    np.testing.assert_allclose(maps.arrays["normal"][known], normal[known], atol=1.5 / full * 2)
    np.testing.assert_allclose(np.linalg.norm(maps.arrays["normal"][known], axis=-1), 1, atol=1e-6)
    assert not maps.arrays["normal"][~known].any() and maps.conventions == {"normal": CAMERA}


def test_normal_arrays(tmp_path):
    normal = unit_normals((6, 7)).astype(np.float32)
    normal[2] = 0
    np.save(tmp_path / "x.npy", normal)
    np.save(tmp_path / "y.npy", normal)
    reader = NormalMaps(tmp_path, CAMERA)
    assert reader.views(["view1", "view2"]) == ["view1", "view2"]  # in order: no name fits
    maps = reader.read("view2")
    np.testing.assert_allclose(maps.arrays["normal"], normal, atol=1e-6)
    assert not maps.arrays["normal_confidence"][2].any() and maps.arrays["normal_confidence"][3].all()


def test_files_that_cannot_be_paired_are_named(tmp_path):
    with pytest.raises(PriorError, match="nowhere: there is no such folder"):
        match_files(tmp_path / "nowhere", (".png",), "", ["000"])
    with pytest.raises(PriorError, match=r"there are no files \*_depth.npy in it"):
        match_files(tmp_path, (".npy",), "_depth", ["000"])
    with pytest.raises(PriorError, match=r"no files \*_depth.npy or \*_normal.npy"):
        MonocularArrays(tmp_path).views(["000"])
    for name in "ab":
        (tmp_path / f"{name}.png").touch()
    with pytest.raises(PriorError, match="the first view is 000, the first file a.png.* 2 files .* 3 views"):
        match_files(tmp_path, (".png",), "", ["000", "001", "002"])


def bad_depth(folder, values):
    write_picture(folder / "0.png", values)
    reader = DepthPictures(folder, MILLIMETRES)
    reader.views(["0"])
    return reader


def bad_normals(folder, values):
    np.save(folder / "0.npy", values)
    reader = NormalMaps(folder, CAMERA)
    reader.views(["0"])
    return reader


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: bad_depth(folder, np.ones((3, 3), np.uint8)), "a 8-bit grey picture; a depth is 16-bit grey"),
        (lambda folder: bad_depth(folder, np.ones((3, 3, 3), np.uint16)), "16-bit colour picture"),
        (lambda folder: bad_normals(folder, np.full((3, 3, 3), 0.9)), "no unit normals .*median length is 1.56"),
        (lambda folder: bad_normals(folder, np.zeros((3, 3, 3))), "no unit normals"),
        (lambda folder: bad_normals(folder, np.full((3, 3, 3), np.nan)), "NaN or infinite"),
        (lambda folder: bad_normals(folder, np.ones((3, 3))), r"is \[3, 3\]; normals are"),
        (lambda folder: bad_normals(folder, np.array(["x"])), "does not hold an array of numbers"),
    ],
)
def test_bad_files_are_named(make, message, tmp_path):
    with pytest.raises(PriorError, match=message) as caught:
        make(tmp_path).read("0")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_monosdfs_arrays_of_other_shapes_are_named(tmp_path):
    np.save(tmp_path / "0_depth.npy", np.ones((2, 3, 3)))
    np.save(tmp_path / "1_normal.npy", np.ones((4, 5, 3)))
    reader = MonocularArrays(tmp_path)
    reader.views(["0", "1"])
    with pytest.raises(PriorError, match=r"\[2, 3, 3\]; a depth is \[height, width\]"):
        reader.read("0")
    with pytest.raises(PriorError, match=r"\[4, 5, 3\]; normals are \[3, height, width\]"):
        reader.read("1")


def test_a_damaged_picture_is_named(tmp_path):
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(PriorError, match="cannot be read as a picture"):
        read_png(tmp_path / "0.png")


def test_intrinsics_from_json_and_text(tmp_path):
    rows = [[500.0, 0.5, 320.0], [0.0, 510.0, 240.0], [0.0, 0.0, 1.0]]
    named = {"fx": 500.0, "fy": 510.0, "cx": 320.0, "cy": 240.0, "skew": 0.5}
    text = "500 .5 320\n0 510 240\n0 0 1"
    for name, text in (("a.json", json.dumps(rows)), ("b.json", json.dumps(named)), ("c.txt", text)):
        (tmp_path / name).write_text(text)
        assert read_intrinsics(tmp_path / name) == rows
    for name, text in (("d.json", "{}"), ("e.json", "{"), ("f.txt", "1 2 3"), ("g.txt", "1 2 3\n4 5 6\n7 8 9")):
        (tmp_path / name).write_text(text)
        with pytest.raises(PriorError, match="holds no intrinsics"):
            read_intrinsics(tmp_path / name)
    with pytest.raises(PriorError, match="cannot be read"):
        read_intrinsics(tmp_path / "nowhere.json")
