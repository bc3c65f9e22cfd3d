"""GLB files read by the letter of the glTF 2.0 specification, with nothing of the writer's."""

import io
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from nsr.meshing.export import export_mesh
from nsr.meshing.glb import linear_colours
from nsr.meshing.texture import Texture

COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def read_strictly(path):
    """JSON and binary chunk, after the checks of section 4 (the container) and 3.6 (buffers and accessors)."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    chunks, at = [], 12
    while at < length:
        size, kind = struct.unpack_from("<I4s", data, at)
        assert size % 4 == 0 and at + 8 + size <= length
        chunks.append((kind, data[at + 8 : at + 8 + size]))
        at += 8 + size
    assert [kind for kind, _ in chunks] == [b"JSON", b"BIN\0"]
    tree, binary = json.loads(chunks[0][1]), chunks[1][1]
    assert tree["asset"]["version"] == "2.0"
    (buffer,) = tree["buffers"]
    assert "uri" not in buffer and 0 <= len(binary) - buffer["byteLength"] < 4
    for view in tree["bufferViews"]:
        assert view.get("byteOffset", 0) + view["byteLength"] <= buffer["byteLength"]
    assert set(tree.get("extensionsUsed", [])) >= set(tree.get("extensionsRequired", []))
    used = {name for material in tree["materials"] for name in material.get("extensions", {})}
    assert used <= set(tree.get("extensionsUsed", []))
    return tree, binary


def accessor(tree, binary, index):
    """An accessor's numbers; its stated bounds must be theirs, and its place aligned."""
    entry = tree["accessors"][index]
    view = tree["bufferViews"][entry["bufferView"]]
    dtype, width = np.dtype(COMPONENTS[entry["componentType"]]).newbyteorder("<"), WIDTHS[entry["type"]]
    start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    assert start % dtype.itemsize == 0 and stride == dtype.itemsize * width
    assert entry.get("byteOffset", 0) + entry["count"] * stride <= view["byteLength"]
    values = np.frombuffer(binary, dtype, entry["count"] * width, start).reshape(entry["count"], width)
    for name, found in (("min", values.min(axis=0)), ("max", values.max(axis=0))):
        if name in entry:
            assert entry[name] == pytest.approx(found.tolist(), abs=1e-6)
    return entry, values


@pytest.mark.parametrize("textured", [False, True], ids=["colours", "texture"])
@pytest.mark.parametrize("unlit", [False, True], ids=["lit", "unlit"])
def test_a_strict_reader_takes_it(tmp_path, textured, unlit):
    ball = trimesh.creation.icosphere(3, 0.5)
    normals, count = ball.vertices / 0.5, len(ball.vertices)
    picture = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
    uv = np.random.default_rng(1).random((count, 2))
    path = export_mesh(
        ball,
        tmp_path / "ball.glb",
        colours=None if textured else np.tile(np.array([0, 128, 255], dtype=np.uint8), (count, 1)),
        normals=normals,
        texture=Texture(uv, picture) if textured else None,
        unlit=unlit,
    )
    tree, binary = read_strictly(path)
    nodes = [tree["nodes"][index] for index in tree["scenes"][tree["scene"]]["nodes"]]
    assert len(nodes) == 1 or all("mesh" in node or "children" in node for node in nodes)
    (primitive,) = tree["meshes"][0]["primitives"]
    assert primitive.get("mode", 4) == 4

    entry, indices = accessor(tree, binary, primitive["indices"])
    assert entry["componentType"] in (5121, 5123, 5125) and entry["type"] == "SCALAR"
    assert indices.max() < count and len(indices) == 3 * len(ball.faces)

    attributes = primitive["attributes"]
    entry, positions = accessor(tree, binary, attributes["POSITION"])
    assert (entry["componentType"], entry["type"]) == (5126, "VEC3") and {"min", "max"} <= entry.keys()
    np.testing.assert_allclose(positions, ball.vertices, atol=1e-6)
    entry, read = accessor(tree, binary, attributes["NORMAL"])
    assert (entry["componentType"], entry["type"]) == (5126, "VEC3")
    np.testing.assert_allclose(np.linalg.norm(read, axis=1), 1, atol=1e-5)
    corners = positions[indices.reshape(-1, 3)]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("ij,ij->i", across, read[indices.reshape(-1, 3)[:, 0]]) > 0).all()  # counter-clockwise is front

    (material,) = tree["materials"]
    assert primitive["material"] == 0 and ("KHR_materials_unlit" in material.get("extensions", {})) == unlit
    shading = material["pbrMetallicRoughness"]
    assert shading["metallicFactor"] == 0 and shading["roughnessFactor"] == 1
    if textured:
        entry, read = accessor(tree, binary, attributes["TEXCOORD_0"])
        assert (entry["componentType"], entry["type"]) == (5126, "VEC2")
        np.testing.assert_allclose(read, np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), atol=1e-6)  # v downwards
        image = tree["images"][tree["textures"][shading["baseColorTexture"]["index"]]["source"]]
        view = tree["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        decoded = Image.open(io.BytesIO(binary[start : start + view["byteLength"]]))
        assert image["mimeType"] == "image/png" and decoded.format == "PNG"
        assert np.array_equal(np.asarray(decoded.convert("RGB")), picture)
    else:
        entry, read = accessor(tree, binary, attributes["COLOR_0"])
        assert (entry["componentType"], entry["type"]) == (5123, "VEC4") and entry["normalized"]
        np.testing.assert_allclose(read / 65535, np.tile([0, 0.21586, 1, 1], (count, 1)), atol=2e-5)  # linear


def test_what_is_not_given_is_not_written(tmp_path):
    ball = trimesh.creation.icosphere(1, 0.5)
    tree, _ = read_strictly(export_mesh(ball, tmp_path / "ball.glb"))
    assert set(tree["meshes"][0]["primitives"][0]["attributes"]) == {"POSITION"}
    assert "extensionsUsed" not in tree


def test_linear_colours_are_as_distinct_as_the_bytes():
    greys = np.repeat(np.arange(256)[:, None], 3, axis=1)
    assert (np.diff(linear_colours(greys)[:, 0].astype(int)) > 0).all()
