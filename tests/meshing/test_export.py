import os

import numpy as np
import pytest
import torch
import trimesh

from nsr.errors import NsrError
from nsr.meshing.colour import vertex_colours
from nsr.meshing.export import export_mesh, to_world


@pytest.fixture
def ball():
    return trimesh.creation.icosphere(3, 0.5)


@pytest.fixture
def scale_mat():
    matrix = np.diag([20.0, 20.0, 20.0, 1.0])
    matrix[:3, 3] = (5, -3, 100)
    return matrix


class SphereField:
    """The SDF of a sphere, with a gradient twice as long as it should be and position as its feature."""

    def geometry(self, x):
        return x.norm(dim=-1) - 0.5, 2 * x / x.norm(dim=-1, keepdim=True), x


def test_colours_see_each_vertex_against_its_normal(ball):
    seen = {}

    def radiance(points, directions, normals, feature):
        seen["length"] = directions.norm(dim=-1)
        assert torch.equal(points, feature)
        assert (directions * normals).sum(-1) == pytest.approx(-2.0, abs=1e-5)  # the raw gradient, as in training
        return -directions  # [-1, 1]: the outward normal

    colours = vertex_colours(ball, SphereField(), radiance, chunk=100)
    assert seen["length"] == pytest.approx(1.0, abs=1e-6)
    assert colours.dtype == np.uint8
    expected = (ball.vertices / 0.5 + 1) / 2 * 255
    assert np.abs(colours - expected).max() <= 0.51


@pytest.mark.parametrize("kind", ["ply", "obj", "glb"])
def test_files_read_back_in_world_units_with_colours(ball, scale_mat, tmp_path, kind):
    colours = np.random.default_rng(0).integers(0, 256, (len(ball.vertices), 3), dtype=np.uint8)
    path = export_mesh(ball, tmp_path / "new" / f"ball.{kind}", colours=colours, scale_mat=scale_mat)
    read = trimesh.load(path, force="mesh", process=False)
    assert len(read.faces) == len(ball.faces)
    distance = np.linalg.norm(read.vertices - [5, -3, 100], axis=1)
    assert distance == pytest.approx(10.0, abs=1e-3)
    nearest = trimesh.proximity.closest_point_naive(ball, (read.vertices - [5, -3, 100]) / 20)[0]
    order = np.array([np.linalg.norm(ball.vertices - point, axis=1).argmin() for point in nearest])
    if kind == "glb":  # 16-bit, linear
        (part,) = trimesh.load_scene(path, process=False).geometry.values()
        linear = part.visual.vertex_attributes["color"][:, :3] / 65535
        encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    else:
        encoded = read.visual.vertex_colors[:, :3].astype(int)
    assert np.abs(encoded - colours[order]).max() <= 1
    assert os.listdir(path.parent) == [path.name]


def test_a_mirroring_transform_keeps_normals_outward(ball):
    assert to_world(ball, np.diag([-2.0, 2.0, 2.0, 1.0])).volume == pytest.approx(8 * ball.volume)


def test_bad_requests_are_refused_and_leave_nothing(ball, tmp_path):
    with pytest.raises(NsrError, match=".stl"):
        export_mesh(ball, tmp_path / "ball.stl")
    with pytest.raises(NsrError, match="no faces"):
        export_mesh(trimesh.Trimesh(), tmp_path / "ball.ply")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(NsrError, match="cannot write"):
        export_mesh(ball, tmp_path / "file" / "ball.ply")
    assert os.listdir(tmp_path) == ["file"]
