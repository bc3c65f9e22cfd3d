"""The unit sphere from masks, from points and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nsr.errors import SceneError
from nsr.scenes.importing.normalisation import (
    MARGIN,
    nearest_point,
    normalised_poses,
    sphere_by_hand,
    sphere_from_masks,
    sphere_from_points,
    sphere_of_box,
)


def assert_round(sphere, capture, slack):
    """The object is inside, and the radius is its own times the margin, within ``slack``."""
    offset = np.linalg.norm(sphere.centre - capture.centre)
    assert offset + capture.radius <= sphere.radius * 1.001
    assert sphere.radius < capture.radius * MARGIN * slack


def test_masks_of_eight_views(capture):
    sphere = sphere_from_masks(capture.masks, capture.intrinsics, capture.poses)
    assert_round(sphere, capture, slack=1.3)


def test_masks_of_three_views(capture):
    """The hull of three cones is larger than the object, but finite."""
    three = [0, 3, 5]
    sphere = sphere_from_masks([capture.masks[view] for view in three], capture.intrinsics[three], capture.poses[three])
    assert_round(sphere, capture, slack=2.2)


def test_it_does_not_depend_on_the_worlds_scale_and_place(capture):
    poses = capture.poses.copy()
    poses[:, :3, 3] = poses[:, :3, 3] * 1000 + (5e4, -3e4, 100)
    sphere = sphere_from_masks(capture.masks, capture.intrinsics, capture.poses)
    moved = sphere_from_masks(capture.masks, capture.intrinsics, poses)
    assert moved.radius == pytest.approx(1000 * sphere.radius, rel=1e-6)
    np.testing.assert_allclose(moved.centre, sphere.centre * 1000 + (5e4, -3e4, 100), rtol=1e-6)


def test_one_wrong_mask_in_eight_needs_less_agreement(capture):
    masks = list(capture.masks)
    masks[2] = np.zeros_like(masks[2])
    masks[2][:5, :5] = True
    assert_round(sphere_from_masks(masks, capture.intrinsics, capture.poses, agreement=0.8), capture, slack=1.4)
    with pytest.raises(SceneError, match="no point lies in more than 8[78]% of the masks"):
        sphere_from_masks(masks, capture.intrinsics, capture.poses, agreement=1.0)


def test_what_a_frame_cuts_off_is_unknown(capture):
    """Every other photograph shows the left half of the sphere only."""
    masks = [mask[:, :31] if view % 2 else mask for view, mask in enumerate(capture.masks)]
    assert_round(sphere_from_masks(masks, capture.intrinsics, capture.poses), capture, slack=1.4)


@pytest.mark.parametrize("value", [True, False])
def test_masks_that_say_nothing(capture, value):
    masks = [*capture.masks[:-1], np.full_like(capture.masks[-1], value)]
    with pytest.raises(SceneError, match="view 7: a mask that is (full|empty)"):
        sphere_from_masks(masks, capture.intrinsics, capture.poses)


def test_two_views_are_too_few(capture):
    with pytest.raises(SceneError, match="3 are needed"):
        sphere_from_masks(capture.masks[:2], capture.intrinsics[:2], capture.poses[:2])


def test_cameras_in_one_point(capture):
    poses = capture.poses.copy()
    poses[:, :3, 3] = poses[0, :3, 3]
    with pytest.raises(SceneError, match="stand in one point"):
        sphere_from_masks(capture.masks, capture.intrinsics, poses)


def test_parallel_rays_have_a_finite_nearest_point():
    origins = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    point = nearest_point(origins, np.tile([0.0, 0, 1], (3, 1)))
    assert point[:2] == pytest.approx([1, 0]) and 0 < point[2] < 2
    assert nearest_point(origins, np.array([3.0, 4, 5]) - origins) == pytest.approx([3, 4, 5], abs=0.05)


def test_points_of_the_object_and_not_of_the_room(capture):
    rng = np.random.default_rng(1)
    wall = rng.normal(size=(400, 3))
    wall = capture.centre + 30 * wall / np.linalg.norm(wall, axis=1, keepdims=True)
    object_points = capture.surface_points(300)
    wrong = capture.centre + rng.uniform(-4, 4, (40, 3))
    positions = np.concatenate([wall, object_points, wrong])
    errors = np.concatenate([np.full(700, 0.5), np.full(40, 5.0)])
    sphere = sphere_from_points(positions, errors, capture.poses)
    assert np.linalg.norm(sphere.centre - capture.centre) < 0.1 * capture.radius
    assert 1.0 < sphere.radius / capture.radius < 1.25
    assert sphere_from_points(positions[:700], np.full(700, np.nan), capture.poses).radius == pytest.approx(
        sphere.radius
    )


def test_too_few_points(capture):
    with pytest.raises(SceneError, match="only 3 of 3 sparse points"):
        sphere_from_points(capture.surface_points(3), np.ones(3), capture.poses)


def test_by_hand():
    sphere = sphere_by_hand([1, 2, 3], 4)
    assert sphere.scale_mat.tolist() == [[4, 0, 0, 1], [0, 4, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]]
    box = sphere_of_box([0, 0, 0], [3, 4, 12])
    assert box.centre.tolist() == [1.5, 2, 6] and box.radius == pytest.approx(6.5 * MARGIN)
    poses = np.eye(4)[None].copy()
    poses[0, :3, 3] = 5, 6, 7
    assert normalised_poses(poses, sphere)[0, :3, 3].tolist() == [1, 1, 1]
    for wrong in (([0, 0, 0], 0), ([0, 0, 0], -1), ([0, 0], 1), ([np.nan, 0, 0], 1)):
        with pytest.raises(SceneError, match="three numbers and one above zero"):
            sphere_by_hand(*wrong)
    with pytest.raises(SceneError, match="low corner"):
        sphere_of_box([0, 0, 0], [1, -1, 1])
