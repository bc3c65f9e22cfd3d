"""A textured sphere whose colours are known at every point."""

import sys

import numpy as np
import pytest
import torch
import trimesh

from nsr.errors import NsrError
from nsr.meshing.export import export_mesh
from nsr.meshing.texels import rasterise
from nsr.meshing.texture import bake_radiance, blend_photographs
from nsr.meshing.unwrap import Unwrapped, unwrap

pytest.importorskip("xatlas")

RADIUS = 0.6


class SphereField:
    def geometry(self, x):
        return x.norm(dim=-1) - RADIUS, torch.nn.functional.normalize(x, dim=-1), x[:, :0]


def smooth_colour(points, *_):
    """In [-1, 1]; the sphere scene's own colour, where x is on its sphere."""
    return (128 + 90 * torch.sin(8 * points + torch.tensor([0.0, 1.0, 2.0]))) / 127.5 - 1


def as_bytes(points):
    return (smooth_colour(torch.from_numpy(np.asarray(points)).float()).numpy() + 1) * 127.5


@pytest.fixture(scope="module")
def ball():
    return trimesh.creation.icosphere(4, RADIUS)


@pytest.fixture(scope="module")
def unwrapped(ball):
    return unwrap(ball, 512)


@pytest.fixture(scope="module")
def baked(unwrapped):
    return bake_radiance(unwrapped, SphereField(), smooth_colour)


def sample(texture, uv):
    """Bilinear, written out: texel centres at half-integers, row 0 at v = 1."""
    height, width = texture.picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    total = 0
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - row - (y - top)) * np.abs(1 - column - (x - left))
        texels = texture.picture[(top + row).clip(0, height - 1), (left + column).clip(0, width - 1)]
        total = total + weight[:, None] * texels
    return total


def surface_samples(mesh, uv, count=4000):
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[faces], points)
    return points, (weights[:, :, None] * uv[mesh.faces[faces]]).sum(axis=1)


def test_the_charts_do_not_overlap_and_keep_every_face(ball, unwrapped):
    assert len(unwrapped.mesh.faces) == len(ball.faces)
    np.testing.assert_allclose(unwrapped.mesh.triangles, ball.triangles, atol=1e-12)
    np.testing.assert_array_equal(unwrapped.source[unwrapped.mesh.faces], ball.faces)
    assert max(unwrapped.size) == 512
    assert unwrapped.uv.min() >= 0 and unwrapped.uv.max() <= 1
    corners = unwrapped.uv[unwrapped.mesh.faces]
    edges = corners[:, 1:] - corners[:, :1]
    area = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]).sum() / 2
    covered = len(rasterise(unwrapped).index) / (unwrapped.size[0] * unwrapped.size[1])
    assert covered == pytest.approx(area, rel=0.02)  # overlapping charts would cover less than their area
    assert area > 0.4


def test_texels_of_two_triangles_by_hand():
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    square = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    texels = rasterise(Unwrapped(square, np.arange(4), uv, (4, 8)))
    assert texels.index.tolist() == list(range(32))
    points = texels.interpolate(square.faces, square.vertices)
    np.testing.assert_allclose(points[0], [1 / 16, 1 - 1 / 8, 0], atol=1e-12)  # top left texel
    np.testing.assert_allclose(points[31], [15 / 16, 1 / 8, 0], atol=1e-12)
    below = points[:, 1] < points[:, 0] - 1e-9
    assert (texels.face[below] == 0).all()


def test_texels_between_charts_take_the_nearest_colour():
    uv = np.array([[0, 0], [0.5, 0], [0.5, 1], [0, 1]], dtype=float)
    half = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    texels = rasterise(Unwrapped(half, np.arange(4), uv, (2, 4)))
    picture = texels.picture(np.array([[10] * 3, [20] * 3, [30] * 3, [40] * 3], dtype=np.uint8))
    assert picture[..., 0].tolist() == [[10, 20, 20, 20], [30, 40, 40, 40]]


def test_the_radiance_is_found_again_everywhere_on_the_surface(unwrapped, baked):
    points, uv = surface_samples(unwrapped.mesh, baked.uv)
    on_sphere = points / np.linalg.norm(points, axis=1, keepdims=True) * RADIUS
    error = np.abs(sample(baked, uv) - as_bytes(on_sphere))
    assert np.mean(error) < 1.0 and np.quantile(error, 0.999) < 8  # seams included


def test_photographs_are_found_again_where_they_look(unwrapped, sphere_scene):
    def grey(points, *_):
        return torch.zeros_like(points)

    normals = unwrapped.mesh.vertices / np.linalg.norm(unwrapped.mesh.vertices, axis=1, keepdims=True)
    texture = blend_photographs(unwrapped, normals, sphere_scene, sphere_scene.cameras, SphereField(), grey)
    points, uv = surface_samples(unwrapped.mesh, texture.uv)
    colours = sample(texture, uv)
    outward = points / np.linalg.norm(points, axis=1, keepdims=True)
    centres = sphere_scene.cameras.centres.double().numpy()[sphere_scene.train_views]
    towards = centres[None] - points[:, None]
    cosine = np.einsum("nvj,nj->nv", towards, outward) / np.linalg.norm(towards, axis=2)
    well_seen, hidden = cosine.max(axis=1) > 0.6, cosine.max(axis=1) < 0.1
    error = np.abs(colours - as_bytes(outward * RADIUS))[well_seen].mean()
    assert error < 6  # a pixel spans 0.035 of a pattern whose colours change by 720 a unit
    assert hidden.sum() > 20 and np.abs(colours[hidden] - 127.5).max() < 20


def test_a_held_out_photograph_is_not_looked_at(unwrapped, sphere_scene):
    normals = unwrapped.mesh.vertices / np.linalg.norm(unwrapped.mesh.vertices, axis=1, keepdims=True)
    arguments = (unwrapped, normals, sphere_scene, sphere_scene.cameras, SphereField(), smooth_colour)
    before = blend_photographs(*arguments).picture
    for view in sphere_scene.heldout_views:
        sphere_scene.images[view] = torch.zeros_like(sphere_scene.images[view])
    assert (blend_photographs(*arguments).picture == before).all()


def test_an_obj_finds_its_material_and_picture(unwrapped, baked, tmp_path):
    normals = unwrapped.mesh.vertices / RADIUS
    scale_mat = np.diag([2.0, 2.0, 2.0, 1.0])
    path = export_mesh(unwrapped.mesh, tmp_path / "b.obj", normals=normals, texture=baked, scale_mat=scale_mat)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["b.mtl", "b.obj", "b.png"]
    read = trimesh.load(path, process=False)
    points, uv = surface_samples(read, read.visual.uv)
    assert np.linalg.norm(points, axis=1) == pytest.approx(2 * RADIUS, rel=0.01)
    assert (np.array(read.visual.material.image) == baked.picture).all()
    on_sphere = points / np.linalg.norm(points, axis=1, keepdims=True) * RADIUS
    assert np.abs(sample(baked, uv) - as_bytes(on_sphere)).mean() < 1.0
    text = path.read_text()
    assert "mtllib b.mtl" in text and "usemtl surface" in text and "\nvn " in text


def test_normals_are_turned_with_the_mesh_and_kept_in_a_ply(ball, tmp_path):
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])
    turn[:3, :3] *= 4
    path = export_mesh(ball, tmp_path / "a.ply", normals=ball.vertices / RADIUS, scale_mat=turn)
    read = trimesh.load(path, process=False)
    outward = read.vertices / np.linalg.norm(read.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(read.vertex_normals, outward, atol=1e-5)


def test_what_cannot_be_unwrapped_or_written(ball, baked, unwrapped, tmp_path, monkeypatch):
    with pytest.raises(NsrError, match="a .ply holds no texture"):
        export_mesh(unwrapped.mesh, tmp_path / "a.ply", texture=baked)
    with pytest.raises(NsrError, match="without faces"):
        unwrap(trimesh.Trimesh())
    with pytest.raises(NsrError, match="at least 64 texels"):
        unwrap(ball, 8)
    monkeypatch.setattr("nsr.meshing.unwrap.MOST_FACES", 100)
    with pytest.raises(NsrError, match="decimate it to 100"):
        unwrap(ball)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(NsrError, match="pip install"):
        unwrap(ball)
    assert list(tmp_path.iterdir()) == []
