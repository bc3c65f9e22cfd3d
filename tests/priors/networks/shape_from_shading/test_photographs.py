import numpy as np
import pytest
from nsr.errors import NsrError

from nsr.priors.networks.shape_from_shading.photographs import (
    direct_light,
    grid_lines,
    lit,
    low_resolution_depth,
    sparse_lines,
)
from nsr.priors.networks.shape_from_shading.rig import Rig

RIG = Rig(focal=(1000.0, 1000.0), lamp=(0.6, 0.0, 0.0))


def test_light_on_a_facing_plane_falls_with_cosine_and_square_of_the_distance():
    depth = np.full((41, 61), 1.2)
    light = direct_light(RIG, depth, RIG.normals(depth), RIG.lamp)
    points = RIG.points(depth)
    away = np.linalg.norm(np.array(RIG.lamp) - points, axis=-1)
    np.testing.assert_allclose(light, 1.2 / away * (0.6**2 + 1) / away**2, rtol=1e-9)


def test_a_step_casts_a_shadow_as_long_as_the_light_is_low():
    """A wall of 4 mm towards a lamp whose light falls 31 degrees from the axis: shadow 2.4 mm, 2.4 pixels a mm."""
    depth = np.full((21, 200), 1.0)
    depth[:, 100:] = 0.996
    points = RIG.points(depth)
    towards = np.array(RIG.lamp) - points
    towards /= np.linalg.norm(towards, axis=-1, keepdims=True)
    visible = lit(RIG, depth, points, towards)
    slope = towards[10, 99, 0] / -towards[10, 99, 2]
    length = 0.004 * slope * 1000
    assert (visible[10, : int(98 - length)] == 1).all()
    assert visible[10, 99] < 0.05
    assert (visible[10, 101:] == 1).all()
    flat = direct_light(RIG, depth, RIG.normals(depth), RIG.lamp, shadows=False)
    assert flat[10, 98] > 0 and (direct_light(RIG, depth, RIG.normals(depth), RIG.lamp)[10, 99] < 0.05 * flat[10, 97])


def test_nothing_hides_on_a_bowl_seen_from_its_axis():
    rig = Rig(lamp=(0.0, 0.0, 0.0))
    depth = 1.0 + 0.5 * (rig.rays(60, 60)[..., :2] ** 2).sum(-1)
    points = rig.points(depth)
    assert (lit(rig, depth, points, -points / np.linalg.norm(points, axis=-1, keepdims=True)) == 1).all()


def test_grid_lines_are_brightest_on_them_and_half_as_bright_half_a_width_beside():
    row = np.stack([np.arange(0, 48, 0.25), np.full(192, 12.0)], axis=-1)
    light = grid_lines(row, pitch=24, width=2)
    assert light[0] == 1 and light[96] == 1
    assert light[4] == pytest.approx(0.5)
    assert light[48] < 1e-12


def test_a_bump_moves_a_line_by_its_parallax():
    rig = Rig(focal=(2000.0, 2000.0), projector=(0.2, 0.0, 0.0))
    flat = np.full((8, 101), 1.0)
    for moved in (flat, flat - 0.005):
        at, _ = sparse_lines(rig, moved, 24)
        expected = np.arange(101) - 2000 * 0.2 / moved[0]
        np.testing.assert_allclose(at[3, :, 0], expected, atol=1e-9)


def test_low_resolution_depth_is_exact_on_a_quadratic_surface_and_flattens_what_is_fine():
    y, x = np.meshgrid(np.linspace(-1, 1, 120), np.linspace(-1, 1, 150), indexing="ij")
    smooth = 1 + 0.1 * x - 0.05 * y + 0.02 * x * y + 0.01 * x**2
    _, on_line = sparse_lines(Rig(), smooth, 24)
    assert np.abs(low_resolution_depth(smooth, on_line, 24) - smooth).max() < 1e-6
    fine = 0.001 * np.sin(2 * np.pi * np.arange(150) / 12)
    found = low_resolution_depth(smooth + fine, on_line, 24)
    assert (found - smooth).std() < 0.1 * fine.std()


def test_low_resolution_depth_reads_lines_alone():
    depth = np.full((96, 96), 1.0) + np.linspace(0, 0.01, 96)
    _, on_line = sparse_lines(Rig(), depth, 24)
    spoilt = np.where(on_line, depth, 1e3)
    assert np.array_equal(low_resolution_depth(spoilt, on_line, 24), low_resolution_depth(depth, on_line, 24))
    with pytest.raises(NsrError, match="leaves 3 pixels on the lines"):
        low_resolution_depth(depth, np.arange(96 * 96).reshape(96, 96) < 3, 24)
