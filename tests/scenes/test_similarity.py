"""Similarities between frames, against matrices and a general minimiser."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nsr.scenes.similarity import Similarity, align_poses


@pytest.fixture
def similarity():
    return Similarity(Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix(), 3.0, np.array([5.0, -2, 1]))


def test_points_are_moved_as_by_its_matrix(similarity):
    points = np.random.default_rng(0).normal(size=(9, 3))
    homogeneous = np.c_[points, np.ones(9)] @ similarity.matrix().T
    np.testing.assert_allclose(similarity.points(points), homogeneous[:, :3])
    np.testing.assert_allclose(similarity.inverse().points(similarity.points(points)), points, atol=1e-12)
    np.testing.assert_allclose(Similarity.from_matrix(similarity.matrix()).matrix(), similarity.matrix())


def test_moved_cameras_see_moved_points_at_the_same_pixels(similarity):
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, :3] = Rotation.random(4, random_state=0).as_matrix()
    points = np.random.default_rng(1).normal(size=(4, 3))
    moved = similarity.poses(poses)
    before = np.einsum("vij,vi->vj", poses[:, :3, :3], points - poses[:, :3, 3])
    after = np.einsum("vij,vi->vj", moved[:, :3, :3], similarity.points(points) - moved[:, :3, 3])
    np.testing.assert_allclose(after, 3.0 * before, atol=1e-12)
    np.testing.assert_allclose(moved[:, 3], [[0, 0, 0, 1]] * 4)


def test_alignment_finds_it_again_with_one_camera_far_off(similarity):
    poses = np.tile(np.eye(4), (9, 1, 1))
    poses[:, :3, :3] = Rotation.random(9, random_state=0).as_matrix()
    poses[:, :3, 3] = np.random.default_rng(2).normal(size=(9, 3))
    target = similarity.poses(poses)
    target[4, :3, 3] += 2.0
    np.testing.assert_allclose(align_poses(poses, target).matrix(), similarity.matrix(), atol=1e-5)
