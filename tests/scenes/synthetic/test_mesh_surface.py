"""Mesh files as surfaces: their colours, axes and faults."""

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.synthetic.mesh_surface import MESH_RADIUS, WHITE_REFLECTANCE, MeshSurface

pytest.importorskip("embreex", reason="embreex is not installed: meshes cannot be rendered")


def straight_down(points):
    """Rays along -z onto ``points [N, 2]`` of the xy plane."""
    origins = torch.tensor([[x, y, 3.0] for x, y in points])
    return origins, torch.tensor([[0.0, 0.0, -1.0]]).expand_as(origins)


@pytest.fixture
def square(tmp_path):
    """A unit square, z up, its texture of 2 x 2 texels: red, green above blue, white."""
    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "texels.png")
    (tmp_path / "square.mtl").write_text("newmtl paint\nmap_Kd texels.png\n")
    (tmp_path / "square.obj").write_text(
        "mtllib square.mtl\nusemtl paint\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n"
    )
    return tmp_path / "square.obj"


def test_texture_is_the_right_way_up_and_filtered_linearly(square):
    surface = MeshSurface(square, "z", True, None)
    half = MESH_RADIUS / np.sqrt(2)
    corners = [(-0.9, 0.9), (0.9, 0.9), (-0.9, -0.9), (0.9, -0.9), (0.0, 0.9)]
    hits = surface.first_hit(*straight_down([(half * x, half * y) for x, y in corners]))
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.5, 0.5, 0]]
    torch.testing.assert_close(hits.albedo / WHITE_REFLECTANCE, torch.tensor(expected).float(), atol=1e-4, rtol=0)
    torch.testing.assert_close(hits.normals, torch.tensor([[0.0, 0, 1]]).expand(5, 3))
    torch.testing.assert_close(hits.distances, torch.full((5,), 3.0))


def test_a_face_seen_from_behind_turns_its_normal_to_the_viewer(square):
    surface = MeshSurface(square, "z", True, None)
    hits = surface.first_hit(torch.tensor([[0.1, 0.1, -3.0]]), torch.tensor([[0.0, 0.0, 1.0]]))
    torch.testing.assert_close(hits.normals, torch.tensor([[0.0, 0, -1]]))


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_the_axis_that_points_up_becomes_z(up, tmp_path):
    size = {axis: 1.0 for axis in "xyz"} | {up: 3.0}
    cuboid = trimesh.creation.box([size[axis] for axis in "xyz"])
    cuboid.apply_translation([5.0, -2.0, 7.0])
    cuboid.export(tmp_path / "cuboid.ply")
    surface = MeshSurface(tmp_path / "cuboid.ply", up, False, None)
    extent = np.ptp(surface.vertices, axis=0)
    np.testing.assert_allclose(extent / extent[0], [1, 1, 3], rtol=1e-5)
    assert np.linalg.norm(surface.vertices, axis=1).max() == pytest.approx(MESH_RADIUS)
    assert trimesh.Trimesh(surface.vertices, surface.faces, process=False).volume > 0


def test_vertex_colours_are_interpolated(tmp_path):
    colours = np.array([[255, 0, 0, 255], [0, 255, 0, 255], [0, 0, 255, 255]], dtype=np.uint8)
    triangle = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], vertex_colors=colours, process=False)
    triangle.export(tmp_path / "triangle.ply")
    surface = MeshSurface(tmp_path / "triangle.ply", "z", True, None)
    centre = surface.vertices.mean(0)
    hits = surface.first_hit(*straight_down([(float(centre[0]), float(centre[1]))]))
    torch.testing.assert_close(hits.albedo, torch.full((1, 3), WHITE_REFLECTANCE / 3), atol=1e-5, rtol=0)


def test_own_colours_are_asked_for_in_vain(tmp_path):
    trimesh.creation.box().export(tmp_path / "plain.stl")
    with pytest.raises(SceneError, match="plain.stl: the mesh has no colours of its own"):
        MeshSurface(tmp_path / "plain.stl", "z", True, None)


@pytest.mark.parametrize("name, text", [("empty.obj", "v 0 0 0\n"), ("broken.ply", "not a mesh"), ("mesh.what", "?")])
def test_a_file_that_is_no_mesh_is_named(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(SceneError, match=name):
        MeshSurface(tmp_path / name, "z", False, None)


def test_hits_are_those_of_an_independent_intersection(data_root):
    surface = MeshSurface(data_root / "meshes/spot/spot.obj", "y", True, None)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert mesh.is_watertight
    random = np.random.default_rng(0)
    origins = random.normal(size=(40, 3))
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    directions = random.uniform(-0.3, 0.3, size=(40, 3)) - origins
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    hits = surface.first_hit(torch.from_numpy(origins).float(), torch.from_numpy(directions).float())

    # Moeller and Trumbore's test of every ray with every triangle.
    corner = mesh.triangles[:, 0]
    first, second = mesh.triangles[:, 1] - corner, mesh.triangles[:, 2] - corner
    nearest = []
    for origin, direction in zip(origins, directions, strict=True):
        across = np.cross(direction, second)
        determinant = (first * across).sum(1)
        u = ((origin - corner) * across).sum(1) / determinant
        turned = np.cross(origin - corner, first)
        v, t = turned @ direction / determinant, (turned * second).sum(1) / determinant
        found = t[(u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)]
        nearest.append(found.min() if len(found) else np.inf)
    nearest = np.array(nearest)
    np.testing.assert_array_equal(hits.rays, np.nonzero(np.isfinite(nearest))[0])
    np.testing.assert_allclose(hits.distances, nearest[np.isfinite(nearest)], atol=1e-5)
    assert len(hits.rays) > 10
    assert 0 <= hits.albedo.min() and hits.albedo.max() <= WHITE_REFLECTANCE and hits.albedo.std() > 0.05
