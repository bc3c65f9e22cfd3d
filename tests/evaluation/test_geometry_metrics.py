import numpy as np
import pytest
import torch
import trimesh

from nsr.errors import NsrError
from nsr.evaluation.geometry_metrics import compare_surfaces, pixel_footprint
from nsr.meshing.point_to_surface import SurfaceIndex, squared_distances


@pytest.mark.parametrize(
    "mesh",
    [trimesh.creation.box(), trimesh.creation.torus(0.6, 0.2), trimesh.creation.icosphere(5, 0.5)],
    ids=["twelve large triangles", "torus", "small triangles"],
)
def test_distances_equal_an_exhaustive_search(mesh):
    generator = np.random.default_rng(1)
    near = trimesh.sample.sample_surface(mesh, 60, seed=2)[0] + generator.normal(0, 0.02, (60, 3))
    points = np.concatenate([near, generator.uniform(-1, 1, (30, 3))])
    expected = trimesh.proximity.closest_point_naive(mesh, points)[1]
    distance, face = SurfaceIndex(mesh).query(points)
    assert distance == pytest.approx(expected, abs=1e-9)
    closest = trimesh.triangles.closest_point(mesh.triangles[face], points)
    assert np.linalg.norm(closest - points, axis=1) == pytest.approx(distance, abs=1e-12)


def test_distances_to_single_triangles_equal_trimesh():
    """All seven regions around a triangle, and one without area."""
    generator = np.random.default_rng(5)
    triangles = generator.normal(size=(5000, 3, 3))
    triangles[0, 2] = triangles[0, 0] + 0.3 * (triangles[0, 1] - triangles[0, 0])
    points = 2 * generator.normal(size=(5000, 3))
    closest = trimesh.triangles.closest_point(triangles[1:], points[1:])
    expected = ((closest - points[1:]) ** 2).sum(axis=1)
    found = squared_distances(points, triangles)
    assert found[1:] == pytest.approx(expected, abs=1e-9)
    on_line = triangles[0, 0] + np.linspace(0, 1, 10_001)[:, None] * (triangles[0, 1] - triangles[0, 0])
    assert found[0] == pytest.approx(((on_line - points[0]) ** 2).sum(axis=1).min(), rel=1e-4)


def test_concentric_spheres_are_their_difference_of_radii_apart():
    inner, outer = trimesh.creation.icosphere(6, 0.6), trimesh.creation.icosphere(6, 0.63)
    errors = compare_surfaces(outer, inner, threshold=0.031, samples=5000)
    for value in (errors.accuracy, errors.completeness, errors.chamfer):
        assert value == pytest.approx(0.03, abs=2e-5)  # the facets of radius .6 sag by 4e-5
    assert errors.fscore == 1.0
    assert errors.normal_degrees < 0.5
    closer = compare_surfaces(outer, inner, threshold=0.029, samples=5000)
    assert (closer.precision, closer.recall, closer.fscore) == (0.0, 0.0, 0.0)


def test_parallel_and_tilted_squares():
    square = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]], [[0, 1, 2], [0, 2, 3]], process=False)
    lifted = square.copy().apply_translation([0, 0, 0.05])
    errors = compare_surfaces(lifted, square, 0.1, samples=3000)
    assert errors.chamfer == pytest.approx(0.05, abs=1e-9)
    assert errors.normal_degrees == pytest.approx(0, abs=1e-4)
    angle = np.radians(20)
    tilted = square.copy().apply_transform(trimesh.transformations.rotation_matrix(angle, [0, 1, 0]))
    errors = compare_surfaces(tilted, square, 0.1, samples=10_000)
    # a tilted point is |x| sin a above the square, |x| uniform in [0, 1]
    assert errors.accuracy == pytest.approx(np.sin(angle) / 2, rel=0.03)
    assert errors.normal_degrees == pytest.approx(20, abs=1e-3)
    assert errors.chamfer_standard_error < 0.005


def test_fscore_is_the_harmonic_mean():
    truth = trimesh.creation.icosphere(4, 0.5)
    extra = truth.copy().apply_translation([3, 0, 0])
    errors = compare_surfaces(trimesh.util.concatenate([truth, extra]), truth, 1e-3, samples=20_000)
    assert errors.recall == 1.0
    assert errors.precision == pytest.approx(0.5, abs=0.02)
    assert errors.fscore == pytest.approx(2 * errors.precision / (1 + errors.precision))


def test_sampling_is_seeded_and_its_error_is_told(sphere_scene):
    truth = trimesh.creation.icosphere(5, 0.6)
    wavy = truth.copy()
    wavy.vertices *= 1 + 0.03 * np.sin(9 * wavy.vertices).prod(axis=1, keepdims=True)
    runs = [compare_surfaces(wavy, truth, 0.01, samples=20_000, seed=seed).chamfer for seed in (0, 0, 10, 20, 30)]
    assert runs[0] == runs[1]
    errors = compare_surfaces(wavy, truth, 0.01, samples=20_000)
    assert np.std(runs[1:]) < 3 * errors.chamfer_standard_error
    footprint = pixel_footprint(sphere_scene, truth)
    assert errors.chamfer_standard_error < 0.02 * footprint


def test_only_what_two_training_cameras_see_counts(sphere_scene):
    """A ball within the sphere is hidden by it: on either side it changes nothing, and in plain sight it counts."""
    sizes = [tuple(mask.shape) for mask in sphere_scene.masks]
    seen = {"cameras": sphere_scene.cameras, "views": sphere_scene.train_views, "sizes": sizes, "samples": 2000}
    truth = trimesh.creation.icosphere(5, 0.6)
    shell = trimesh.creation.icosphere(5, 0.61)
    hidden = trimesh.creation.icosphere(4, 0.3)
    for reconstruction, target in (
        (trimesh.util.concatenate([shell, hidden]), truth),
        (shell, trimesh.util.concatenate([truth, hidden])),
    ):
        assert compare_surfaces(reconstruction, target, 0.02, **seen).chamfer == pytest.approx(0.01, abs=2e-4)
        assert compare_surfaces(reconstruction, target, 0.02, samples=2000).chamfer > 0.015
    floater = hidden.copy().apply_scale(0.3).apply_translation([0, 0, 0.75])
    assert compare_surfaces(trimesh.util.concatenate([shell, floater]), truth, 0.02, **seen).accuracy > 0.0105


def test_footprint_of_a_sphere_is_depth_over_focal_length(sphere_scene, sphere_truth):
    ratios = []
    for view in sphere_scene.train_views:
        v, u = np.nonzero(sphere_scene.masks[view].numpy())
        pixels = torch.tensor(np.stack([u, v], axis=-1)).double()
        origins, directions = sphere_truth.cameras.rays(torch.full((len(u),), view), pixels)
        along = -(origins * directions).sum(-1)
        along -= (along**2 - 9 + 0.36).sqrt()
        depth = along * (directions @ sphere_truth.cameras.poses[view, :3, 2])
        intrinsics = sphere_truth.cameras.intrinsics[view]
        ratios.append(depth / (intrinsics[0, 0] * intrinsics[1, 1]).sqrt())
    found = pixel_footprint(sphere_scene, trimesh.creation.icosphere(5, 0.6))
    assert found == pytest.approx(torch.cat(ratios).median().item(), rel=1e-3)


def test_units_are_told_side_by_side():
    sphere = trimesh.creation.icosphere(4, 0.5)
    errors = compare_surfaces(sphere.copy().apply_scale(1.1), sphere, 0.01, samples=1000)
    figures = errors.in_units(footprint=0.01, world_scale=250.0)
    assert figures["chamfer_pixels"] == pytest.approx(figures["chamfer"] / 0.01)
    assert figures["chamfer_world"] == pytest.approx(figures["chamfer"] * 250)


def test_meshes_that_cannot_be_measured(sphere_scene):
    sphere, empty = trimesh.creation.icosphere(3, 0.6), trimesh.Trimesh()
    with pytest.raises(NsrError, match="no faces"):
        compare_surfaces(sphere, empty, 0.01)
    with pytest.raises(NsrError, match="no faces"):
        compare_surfaces(empty, sphere, 0.01)
    elsewhere = sphere.copy().apply_translation([500, 0, 0])
    with pytest.raises(NsrError, match="sees the surface"):
        pixel_footprint(sphere_scene, elsewhere)
    with pytest.raises(NsrError, match="seen by 2 training views"):
        sizes = [tuple(mask.shape) for mask in sphere_scene.masks]
        compare_surfaces(
            elsewhere,
            sphere,
            0.01,
            cameras=sphere_scene.cameras,
            views=sphere_scene.train_views,
            sizes=sizes,
            samples=100,
        )
