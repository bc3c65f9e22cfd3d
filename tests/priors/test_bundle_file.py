"""Bundles are read back as they were written, and a bad one is named in one line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nsr.errors import PriorError
from nsr.priors.bundle_file import (
    BundleHeader,
    ColourConvention,
    DepthConvention,
    DirectionConvention,
    StoredBundle,
    check_bundle,
    confidence_of,
    read_bundle,
    write_bundle,
)

SIZE = (4, 6)
HEADER = BundleHeader(
    scene="mug",
    view="003",
    width=6,
    height=4,
    depth=DepthConvention("metric", "scene"),
    normal=DirectionConvention("camera", "opengl"),
    albedo=ColourConvention("srgb"),
    shading=ColourConvention("linear"),
    sh=DirectionConvention("world"),
    intrinsics=[[7.0, 0.5, 3.0], [0.0, 7.5, 2.0], [0.0, 0.0, 1.0]],
    source="a test",
)


def full_bundle():
    random = np.random.default_rng(0)
    normal = random.normal(size=(*SIZE, 3))
    arrays = {
        "depth": random.uniform(1, 2, SIZE),
        "normal": normal / np.linalg.norm(normal, axis=-1, keepdims=True),
        "albedo": random.random((*SIZE, 3)),
        "shading": random.random((*SIZE, 3)),
        "sh": random.normal(size=(9, 3)),
    }
    arrays |= {f"{name}_confidence": random.random(SIZE) for name in ("depth", "normal", "albedo", "shading")}
    return StoredBundle(HEADER, {name: values.astype(np.float32) for name, values in arrays.items()})


def test_a_bundle_is_read_back_as_it_was_written(tmp_path):
    bundle = full_bundle()
    path = write_bundle(tmp_path / "priors", bundle)
    assert path == tmp_path / "priors" / "003.npz"
    again = read_bundle(path)
    assert again.header == HEADER
    assert again.arrays.keys() == bundle.arrays.keys()
    for name, values in bundle.arrays.items():
        assert np.array_equal(again.arrays[name], values), name


def test_the_header_is_plain_json_that_others_can_write(tmp_path):
    depth = np.array([[1.0, 0.0], [2.0, 3.0]], dtype=np.float32)
    header = {
        "version": 1, "scene": "s", "view": "v", "width": 2, "height": 2,
        "depth": {"kind": "metric", "unit": "mm", "measure": "ray", "metres_per_scene_unit": 1.0},
    }  # fmt: skip
    np.savez(tmp_path / "v.npz", depth=depth, header=json.dumps(header))
    bundle = read_bundle(tmp_path / "v.npz")
    assert bundle.header.depth == DepthConvention("metric", "mm", "ray", 1.0)
    assert np.array_equal(confidence_of(bundle, "depth"), depth > 0)


def with_array(name, values):
    bundle = full_bundle()
    return StoredBundle(bundle.header, {**bundle.arrays, name: np.asarray(values, dtype=np.float32)})


def spoilt(name, index, value):
    values = full_bundle().arrays[name].copy()
    values[index] = value
    return with_array(name, values)


def with_header(**changes):
    return StoredBundle(replace(HEADER, **changes), full_bundle().arrays)


BAD = {
    "a NaN": (spoilt("depth", (1, 2), np.nan), "depth has 1 values that are NaN or infinite"),
    "an infinity": (spoilt("normal", (0, 0, 1), np.inf), "normal has 1 values that are NaN"),
    "a depth behind the camera": (spoilt("depth", (1, 2), -0.5), "1 depths are not before the camera"),
    "a normal that is not unit": (spoilt("normal", (2, 2), [0, 0, 1.1]), "1 normals are not unit.*length 1.1"),
    "a confidence above 1": (spoilt("albedo_confidence", (0, 0), 1.5), r"albedo_confidence runs from .* to 1.5"),
    "a confidence below 0": (spoilt("depth_confidence", (0, 0), -0.1), "depth_confidence runs from -0.1"),
    "another size": (with_array("shading", np.zeros((4, 5, 3))), r"shading is \[4, 5, 3\].*6 x 4.*\[4, 6, 3\]"),
    "an unknown array": (with_array("disparity", np.zeros(SIZE)), "unknown array disparity"),
    "no map": (StoredBundle(HEADER, {}), "holds no map"),
    "no unit": (with_header(depth=DepthConvention("metric")), "depth.unit is None.*mm, m, scene"),
    "an unknown unit": (with_header(depth=DepthConvention("metric", "inch")), "depth.unit is 'inch'"),
    "millimetres of unknown worlds": (with_header(depth=DepthConvention("metric", "mm")), "metres_per_scene_unit"),
    "an unknown kind": (with_header(depth=DepthConvention("relative", "mm")), "depth.kind is 'relative'.*affine"),
    "an unknown frame": (with_header(normal=DirectionConvention("object")), "normal.frame is 'object'"),
    "no axes": (with_header(normal=None), "does not say what unit, frame or colour space its normal has"),
    "an unknown colour space": (with_header(albedo=ColourConvention("gamma")), "albedo.space is 'gamma'"),
    "a later version": (with_header(version=2), "version 2; this program reads version 1"),
    "bad intrinsics": (with_header(intrinsics=[[1.0]]), "three rows of three numbers"),
    "intrinsics of no camera": (with_header(intrinsics=[[0, 0, 3], [0, 7, 2], [0, 0, 1]]), "focal lengths above 0"),
    "intrinsics in words": (with_header(intrinsics=[["a"] * 3] * 3), "three rows of three numbers"),
    "ragged intrinsics": (with_header(intrinsics=[[1, 2], [3], [0, 0, 1]]), "three rows of three numbers"),
    "an endless world": (with_header(depth=DepthConvention("metric", "m", "z", float("inf"))), "what a world unit"),
    "bad sizes": (with_header(width="6"), "whole numbers of pixels"),
    "no fingerprint": (with_header(picture="00ff"), "header.picture is no fingerprint"),
    "no name": (with_header(view=None), "header.view and header.source must be texts"),
    "colours that overflow": (spoilt("shading", (0, 0, 1), 1e6), "shading goes up to 1e[+]06; .* of order 1"),
    "light that overflows": (spoilt("sh", (3, 0), -1e9), "sh goes up to 1e[+]09"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_is_refused_in_one_line_and_not_written(name, tmp_path):
    bundle, message = BAD[name]
    with pytest.raises(PriorError, match=f"^here: .*{message}") as caught:
        check_bundle(bundle, "here")
    assert "\n" not in str(caught.value)
    with pytest.raises(PriorError):
        write_bundle(tmp_path, bundle)
    assert list(tmp_path.iterdir()) == []


def test_a_value_without_confidence_may_be_anything_finite():
    bundle = full_bundle()
    arrays = {name: values.copy() for name, values in bundle.arrays.items()}
    arrays["depth"][0, 0], arrays["normal"][0, 0] = -1, 0
    arrays["depth_confidence"][0, 0] = arrays["normal_confidence"][0, 0] = 0
    check_bundle(StoredBundle(HEADER, arrays), "here")


def test_an_affine_depth_needs_no_unit_and_has_any_sign():
    bundle = spoilt("depth", (1, 2), -0.5)
    check_bundle(StoredBundle(replace(HEADER, depth=DepthConvention("affine")), bundle.arrays), "here")


def npz_of(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"not an archive"), "cannot be read as a bundle"),
        (lambda path: np.save(path.open("wb"), np.ones((2, 2))), "cannot be read as a bundle"),
        (lambda path: npz_of(path, depth=np.ones((2, 2)), header="[" * 100_000), "not JSON"),
        (lambda path: npz_of(path, depth=np.ones((2, 2))), "has no header"),
        (lambda path: npz_of(path, depth=np.ones((2, 2)), header="{"), "not JSON"),
        (lambda path: npz_of(path, depth=np.ones((2, 2)), header="[]"), "must be a JSON object"),
        (lambda path: npz_of(path, header='{"scene": "a", "view": "b", "width": 2}'), "header lacks .*height"),
        (lambda path: npz_of(path, header='{"scale": 3}'), "unknown entry header.scale"),
        (lambda path: npz_of(path, depth=np.array(["x"]), header="{}"), "header lacks"),
        (lambda path: None, "cannot be read as a bundle"),
    ],
)
def test_a_damaged_file_is_named(make, message, tmp_path):
    path = tmp_path / "000.npz"
    make(path)
    with pytest.raises(PriorError, match=message) as caught:
        read_bundle(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_truncated_file_is_named(tmp_path):
    path = write_bundle(tmp_path, full_bundle())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PriorError, match="cannot be read as a bundle"):
        read_bundle(path)


def test_a_folder_that_refuses_is_named(tmp_path):
    (tmp_path / "priors").write_text("a file where the folder should be")
    with pytest.raises(PriorError, match="cannot be written"):
        write_bundle(tmp_path / "priors", full_bundle())


def test_a_file_damaged_anywhere_is_an_error_for_people(tmp_path):
    """Cut short at any place, or with bytes that are others: within a member, its header, or the directory."""
    path = write_bundle(tmp_path, full_bundle())
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for attempt in range(300):
        damaged = bytearray(whole)
        if attempt % 3 == 0:
            damaged = damaged[: random.integers(len(whole))]
        for place in random.integers(len(damaged), size=4) if attempt % 3 and damaged else ():
            damaged[place if attempt % 3 == 1 else -1 - place % 700] = random.integers(256)
        path.write_bytes(damaged)
        try:
            read_bundle(path)
        except PriorError as error:
            refused += str(error).startswith(str(path))
    assert refused > 280
