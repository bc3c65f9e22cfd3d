"""Meshes of analytic shapes: on the zero set, closed, outward, of the right volume."""

import math

import numpy as np
import pytest
import torch
import trimesh

from nsr.scenes.synthetic import SHAPES
from nsr.scenes.synthetic.analytic_surface import fine_mesh
from nsr.scenes.synthetic.extraction import extract_mesh, project_to_surface


@pytest.mark.parametrize("name", SHAPES)
def test_mesh_lies_on_the_zero_set_and_is_closed(name):
    shape = SHAPES[name]
    vertices, faces = extract_mesh(shape, 96)
    value, gradient = shape.field_and_gradient(torch.from_numpy(vertices))
    assert (value.abs() / gradient.norm(dim=1)).max() < 2e-6
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight and mesh.volume > 0
    _, outward = shape.field_and_gradient(torch.from_numpy(mesh.triangles_center.astype(np.float32)))
    agreement = (outward.numpy() * mesh.face_normals).sum(1)
    assert np.quantile(agreement, 0.01) > 0


@pytest.mark.parametrize(
    "name, volume, genus",
    [("sphere", 4 / 3 * math.pi * 0.75**3, 0), ("torus", 2 * math.pi**2 * 0.54 * 0.22**2, 1)],
)
def test_volume_and_genus(name, volume, genus):
    vertices, faces = extract_mesh(SHAPES[name].without_relief(), 96)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.volume == pytest.approx(volume, rel=2e-3)
    assert mesh.euler_number == 2 - 2 * genus


def test_pierced_box_has_the_genus_of_a_cube_frame():
    vertices, faces = extract_mesh(SHAPES["pierced_box"].without_relief(), 96)
    assert trimesh.Trimesh(vertices, faces, process=False).euler_number == 2 - 2 * 5


def test_projection_goes_to_the_nearest_point_of_a_sphere():
    points = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    start = points * torch.linspace(0.7, 0.8, 200).unsqueeze(-1)
    projected = project_to_surface(SHAPES["sphere"], start, limit=0.1)
    torch.testing.assert_close(projected, 0.75 * points, atol=1e-6, rtol=0)


def test_fine_mesh_reaches_the_error_that_is_asked_for():
    shape = SHAPES["sphere"]
    vertices, faces, error = fine_mesh(shape, 2e-5)
    middle = np.linalg.norm(vertices[faces].mean(1), axis=1)
    assert error <= 2e-5
    assert np.abs(middle - 0.75).mean() == pytest.approx(error, rel=0.05)
