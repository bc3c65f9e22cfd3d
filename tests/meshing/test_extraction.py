import numpy as np
import pytest
import torch
from skimage.measure import marching_cubes

from nsr.errors import NsrError
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.sparse_grid import SparseGrid, march


def sphere(radius=0.6, centre=(0.0, 0.0, 0.0)):
    return lambda x: (x - torch.tensor(centre)).norm(dim=-1) - radius


def torus(x):
    return torch.hypot(torch.hypot(x[:, 0], x[:, 1]) - 0.6, x[:, 2]) - 0.2


def bumpy(x):
    """No exact distance: slopes up to about 2.2 on fine bumps."""
    return x.norm(dim=-1) - 0.6 + 0.02 * torch.sin(60 * x).prod(dim=-1)


class Counted:
    def __init__(self, value):
        self.value, self.count = value, 0

    def __call__(self, x):
        self.count += len(x)
        return self.value(x)


def test_sphere_has_the_closed_form_area_volume_and_topology():
    mesh = extract_mesh(sphere(0.6, (0.1, -0.2, 0.05)), 128)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.euler_number == 2
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=1e-3)  # positive: normals point outward
    assert mesh.area == pytest.approx(4 * np.pi * 0.6**2, rel=1e-3)
    distance = np.linalg.norm(mesh.vertices - [0.1, -0.2, 0.05], axis=1) - 0.6
    assert np.abs(distance).max() < 1e-4


def test_torus_has_genus_one_and_the_closed_form_area_and_volume():
    mesh = extract_mesh(torus, 64)
    assert mesh.is_watertight
    assert mesh.euler_number == 0
    assert mesh.volume == pytest.approx(2 * np.pi**2 * 0.6 * 0.2**2, rel=2e-3)
    assert mesh.area == pytest.approx(4 * np.pi**2 * 0.6 * 0.2, rel=2e-3)


def test_shortest_axis_gets_the_resolution_and_all_axes_the_same_spacing():
    ellipsoid = lambda x: (x / torch.tensor([0.7, 0.5, 0.6])).norm(dim=-1) * 0.5 - 0.5
    mesh = extract_mesh(ellipsoid, 96)
    edges = np.linalg.norm(mesh.vertices[mesh.edges_unique[:, 0]] - mesh.vertices[mesh.edges_unique[:, 1]], axis=1)
    # the box is the shortest extent, 1, and at most 2 x (1.5 + 1) cells of the 1/62 locating grid more
    assert 1 / 96 <= edges.max() <= np.sqrt(3) * 1.09 / 96
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx([1.4, 1.0, 1.2], abs=2e-3)


@pytest.mark.parametrize("value", [sphere(), torus, bumpy], ids=["sphere", "torus", "bumpy"])
def test_same_surface_as_marching_cubes_on_every_grid_point(value):
    cells, spacing, lower = 72, 2.0 / 72, np.full(3, -1.0)
    field = lambda points: value(torch.from_numpy(points)).numpy()
    grid = SparseGrid(field, lower, spacing, np.full(3, 2.0), gradient_bound=1.5)
    found = march(grid)

    corners = np.indices(tuple(grid.shape)).reshape(3, -1).T
    dense = field((lower + corners * spacing).astype(np.float32)).reshape(grid.shape) / spacing
    dense = np.where(dense < 0, np.minimum(dense, -1e-3), np.maximum(dense, 1e-3))
    vertices, faces, _, _ = marching_cubes(dense.astype(np.float32), 0.0)
    assert grid.shape.max() >= cells + 1
    assert len(found.vertices) == len(vertices) and len(found.faces) == len(faces)
    order = np.lexsort(np.round(found.vertices, 5).T)
    expected = vertices.astype(np.float64) * spacing + lower
    assert found.vertices[order] == pytest.approx(expected[np.lexsort(np.round(expected, 5).T)], abs=2e-5)
    assert len(grid.values) < 0.5 * dense.size


def test_a_field_steeper_than_its_bound_is_still_followed_without_cracks():
    steep = lambda x: torch.tanh(8 * (x.norm(dim=-1) - 0.6)) + 0.3 * torch.sin(25 * x[:, 0])
    mesh = extract_mesh(steep, 128, largest_only=False, gradient_bound=1.0)
    assert mesh.is_watertight


def test_resolution_512_evaluates_the_neighbourhood_of_the_surface_only():
    value = Counted(sphere())
    mesh = extract_mesh(value, 512)
    assert mesh.is_watertight
    assert len(mesh.faces) > 1_500_000
    assert value.count < 0.07 * 513**3


def test_exact_zeros_on_grid_points_make_no_degenerate_triangles():
    box = lambda x: x.abs().max(dim=-1).values - 0.5
    field = lambda points: box(torch.from_numpy(points)).numpy()
    mesh = march(SparseGrid(field, np.full(3, -1.0), 1 / 64, np.full(3, 2.0), 1.5))  # 0.5 falls on the grid
    assert mesh.is_watertight
    assert mesh.area_faces.min() > 0
    assert mesh.volume == pytest.approx(1, rel=2e-3)  # its edges are bevelled by half a cell


def test_floaters_go_with_the_largest_component_and_stay_without():
    both = lambda x: torch.minimum(sphere(0.4)(x), sphere(0.05, (0.0, 0.0, 0.8))(x))
    assert extract_mesh(both, 64).bounds[1, 2] == pytest.approx(0.4, abs=1e-3)
    kept = extract_mesh(both, 64, largest_only=False)
    assert kept.bounds[1, 2] == pytest.approx(0.85, abs=1e-3)
    assert kept.body_count == 2


def test_a_surface_that_leaves_the_bounding_sphere_is_closed_there():
    half_space = lambda x: x[:, 2] - 0.1
    mesh = extract_mesh(half_space, 64)
    assert mesh.is_watertight
    below = np.pi / 3 * 1.1**2 * (3 - 1.1)  # the ball below z = 0.1
    assert mesh.volume == pytest.approx(below, rel=5e-3)


def test_a_uniform_grid_covers_the_whole_cube():
    mesh = extract_mesh(sphere(0.3), 64, uniform_grid=True)
    edges = np.linalg.norm(mesh.vertices[mesh.edges[:, 0]] - mesh.vertices[mesh.edges[:, 1]], axis=1)
    assert edges.max() > 2 / 64  # the object's own box would give cells of about 0.7 / 64
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=2e-2)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (lambda x: torch.ones(len(x)), "no surface"),
        (lambda x: x.norm(dim=-1) - 5.0, None),
        (lambda x: torch.full((len(x),), torch.nan), "NaN"),
    ],
    ids=["empty", "full", "nan"],
)
def test_fields_without_a_surface(value, words):
    if words is None:  # the whole ball is inside: its own sphere is the surface
        assert extract_mesh(value, 32).volume == pytest.approx(4 / 3 * np.pi, rel=2e-2)
        return
    with pytest.raises(NsrError, match=words):
        extract_mesh(value, 32)


def test_a_resolution_too_small_is_refused():
    with pytest.raises(NsrError, match="resolution"):
        extract_mesh(sphere(), 2)
