"""Epipolar errors of exact, displaced and really matched features."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nsr.scenes.epipolar_check import (
    Matches,
    check_epipolar,
    epipolar_errors,
    match_features,
    principal_point_shift,
)
from nsr.scenes.features import Features, near_pairs


@pytest.fixture
def cameras(sphere_truth):
    """Eight cameras with ten times the pixels, so that pixels of error are small, and their pairs."""
    intrinsics = sphere_truth.cameras.intrinsics.numpy().copy()
    intrinsics[:, :2] *= 10
    poses = sphere_truth.cameras.poses.numpy()
    return intrinsics, poses, [(view, (view + 1) % 8) for view in range(8)]


def project(intrinsics, pose, points):
    pixels = (points - pose[:3, 3]) @ pose[:3, :3] @ intrinsics.T
    return pixels[:, :2] / pixels[:, 2:]


def exact_matches(cameras, noise=0.0):
    intrinsics, poses, pairs = cameras
    rng = np.random.default_rng(0)
    found = []
    for first, second in pairs:
        points = rng.uniform(-0.5, 0.5, (60, 3))
        pixels = [project(intrinsics[v], poses[v], points) + rng.normal(0, noise, (60, 2)) for v in (first, second)]
        found.append(Matches(first, second, *pixels))
    return found


def test_exact_matches_have_no_error(cameras):
    for matches in exact_matches(cameras):
        assert epipolar_errors(matches, *cameras[:2]).max() < 1e-9


def test_a_pixel_off_its_line_is_an_error_of_that_length(cameras):
    """Two points on the ray of a first pixel span the line in the second view, by projection alone."""
    intrinsics, poses, _ = cameras
    point = np.array([0.1, -0.2, 0.15])
    towards = poses[0][:3, 3] + 0.8 * (point - poses[0][:3, 3])
    a, b = project(intrinsics[1], poses[1], np.stack([point, towards]))
    normal = np.array([b[1] - a[1], a[0] - b[0]]) / np.linalg.norm(b - a)
    in_first = project(intrinsics[0], poses[0], point[None])
    along = epipolar_errors(Matches(0, 1, in_first, (a + 7 * (b - a))[None]), intrinsics, poses)
    assert along == pytest.approx(0, abs=1e-8)
    one = epipolar_errors(Matches(0, 1, in_first, (a + 2 * normal)[None]), intrinsics, poses)
    other = epipolar_errors(Matches(1, 0, (a + 2 * normal)[None], in_first), intrinsics, poses)
    assert one == pytest.approx(other)
    assert 1 < one[0] < 4  # the mean of 2 pixels here and as much as that is in the other view
    # with both cameras alike in scale and distance, the two views' errors are nearly the same
    assert one[0] == pytest.approx(2, rel=0.35)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_half_a_pixel_is_found(cameras, shift):
    intrinsics, poses, _ = cameras
    matches = exact_matches(cameras, noise=0.1)
    assert [severity for severity, _ in check_epipolar(matches, intrinsics, poses)] == ["information"]
    wrong = intrinsics.copy()
    wrong[:, :2, 2] -= shift
    (warning,) = [line for severity, line in check_epipolar(matches, wrong, poses) if severity == "warning"]
    assert "principal points moved by " in warning
    found, deviation = principal_point_shift(matches, wrong, poses)
    assert found == pytest.approx(shift, abs=0.1) and 0 < deviation < 0.1


def test_the_shift_of_principal_points_is_measured_in_spite_of_wrong_matches(cameras):
    intrinsics, poses, _ = cameras
    matches = exact_matches(cameras, noise=0.2)
    rng = np.random.default_rng(1)
    for pair in matches:
        pair.pixels_second[:6] += rng.uniform(-200, 200, (6, 2))
    wrong = intrinsics.copy()
    wrong[:, :2, 2] += 0.15
    found, deviation = principal_point_shift(matches, wrong, poses)
    assert abs(found + 0.15) < 3 * deviation and deviation < 0.1
    assert not [line for severity, line in check_epipolar(matches, wrong, poses) if "off by half" in line]


def test_views_that_tell_nothing_of_principal_points_are_not_accused(cameras):
    """Cameras side by side that look the same way: a shift changes no epipolar line."""
    intrinsics, poses, _ = cameras
    intrinsics = np.tile(intrinsics[0], (3, 1, 1))
    poses = np.tile(poses[0], (3, 1, 1))
    poses[:, :3, 3] += np.arange(3)[:, None] * 0.2 * poses[0, :3, 0]
    matches = exact_matches((intrinsics, poses, [(0, 1), (1, 2)] * 3), noise=0.3)
    assert {severity for severity, _ in check_epipolar(matches, intrinsics, poses)} == {"information"}


def test_one_wrong_camera_is_named(cameras):
    intrinsics, poses, _ = cameras
    poses = poses.copy()
    turn = cv2.Rodrigues(np.array([0.02, 0.0, 0.03]))[0]
    poses[3, :3, :3] = poses[3, :3, :3] @ turn
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8)]
    matches = exact_matches((cameras[0], cameras[1], pairs), noise=0.1)
    warnings = [line for severity, line in check_epipolar(matches, intrinsics, poses) if severity == "warning"]
    assert (
        [line for line in warnings if "camera of view" in line]
        == [line for line in warnings if "camera of view 3 is off" in line]
        != []
    )


def test_rough_cameras_are_a_warning(cameras):
    intrinsics, poses, _ = cameras
    wrong = intrinsics.copy()
    wrong[:, 0, 2] += 40 * (-1.0) ** np.arange(8)
    (judgement,) = check_epipolar(exact_matches(cameras), wrong, poses)
    assert judgement[0] == "warning" and "miss their epipolar lines by" in judgement[1]


def test_features_of_a_moved_plane_match_where_it_moved():
    """A textured plane through a known homography, with and without a mask over its left half."""
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 255, (300, 400, 3), dtype=np.uint8), (0, 0), 1.5)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    homography = np.array([[0.98, -0.12, 20.5], [0.1, 1.01, -12.25], [1e-5, 3e-5, 1.0]])
    moved = cv2.warpPerspective(texture, homography, (400, 300))
    mask = np.ones((300, 400), dtype=bool)
    mask[:, :200] = False
    features = [Features(texture, mask), Features(moved, np.ones_like(mask))]
    assert features[0].pixels[:, 0].min() > 198
    (matches,) = match_features(features, [(0, 1)])
    homogeneous = np.column_stack([matches.pixels_first, np.ones(len(matches.pixels_first))]) @ homography.T
    error = np.linalg.norm(homogeneous[:, :2] / homogeneous[:, 2:] - matches.pixels_second, axis=1)
    assert len(error) > 50 and np.median(error) < 0.3


def test_pictures_without_texture_do_not_match(cameras):
    blank = Features(np.full((60, 80, 3), 90, dtype=np.uint8), np.ones((60, 80), dtype=bool))
    assert match_features([blank, blank], [(0, 1)]) == []
    (judgement,) = check_epipolar([], *cameras[:2])
    assert judgement[0] == "information" and "no features match" in judgement[1]


def test_pairs_are_neighbours_in_direction(sphere_truth):
    pairs = near_pairs(sphere_truth.cameras.poses.numpy())
    directions = sphere_truth.cameras.poses.numpy()[:, :3, 2]
    assert pairs and all(first < second for first, second in pairs)
    assert all(directions[a] @ directions[b] >= np.cos(np.radians(50)) - 1e-9 for a, b in pairs)
