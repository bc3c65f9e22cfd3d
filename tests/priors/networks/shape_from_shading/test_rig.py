import numpy as np
import pytest

from nsr.priors.networks.shape_from_shading.rig import Rig, blurred


def test_points_project_back_to_their_pixels():
    rig = Rig(focal=(300.0, 310.0), centre=(20.5, 11.0))
    depth = np.random.default_rng(0).uniform(0.5, 2, (24, 32))
    points = rig.points(depth)
    u, v = np.meshgrid(np.arange(32), np.arange(24))
    np.testing.assert_allclose(rig.pixels(points, 24, 32), np.stack([u, v], axis=-1), atol=1e-9)
    assert np.array_equal(points[..., 2], depth)


def test_the_projector_sees_a_point_displaced_by_its_parallax():
    rig = Rig(focal=(1000.0, 1000.0), projector=(0.1, -0.05, 0.0))
    point = np.array([0.0, 0.0, 2.0])
    seen = rig.pixels(point, 101, 101, seen_from=np.array(rig.projector))
    np.testing.assert_allclose(seen - 50, [-1000 * 0.1 / 2, 1000 * 0.05 / 2])


def test_normals_of_a_sphere_are_its_radii():
    rig = Rig(focal=(800.0, 800.0))
    rays = rig.rays(200, 200)
    squared, along = (rays**2).sum(-1), rays[..., 2] * 1.0
    inside = along**2 - squared * (1 - 0.08**2)
    depth = (along - np.sqrt(np.maximum(inside, 0))) / squared
    radial = rig.points(depth) - [0, 0, 1.0]
    radial /= np.linalg.norm(radial, axis=-1, keepdims=True)
    well_inside = inside > 0.3 * inside.max()
    error = np.degrees(np.arccos((rig.normals(depth) * radial).sum(-1)[well_inside].clip(-1, 1)))
    assert error.max() < 0.5


def test_a_local_mean_reads_valid_pixels_alone():
    values, valid = np.full((40, 40), 3.0), np.zeros((40, 40), dtype=bool)
    valid[10:30, 5:20] = True
    spoilt = np.where(valid, values, 1e4)
    mean = blurred(spoilt, 4.0, valid)
    assert mean[valid] == pytest.approx(3.0, rel=1e-5)
    assert mean[0, 39] == 0
