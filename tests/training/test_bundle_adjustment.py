"""Bundle adjustment on exact projections of known points."""

import numpy as np
import pytest
import torch

from nsr.evaluation.camera_accuracy import compare_cameras
from nsr.scenes.cameras import Cameras
from nsr.scenes.perturb import perturb_cameras
from nsr.training.bundle_adjustment import BundleAdjustment, triangulate
from nsr.training.feature_tracks import FeatureTracks


@pytest.fixture
def observed(sphere_truth):
    """Ten times the sphere scene's pixels, and 60 points seen by all eight views."""
    intrinsics = sphere_truth.cameras.intrinsics.clone()
    intrinsics[:, :2] *= 10
    cameras = Cameras(intrinsics, sphere_truth.cameras.poses)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (60, 3))
    which, views = (grid.ravel() for grid in np.meshgrid(np.arange(60), np.arange(8), indexing="ij"))
    pixels, _ = cameras.project(torch.from_numpy(views), torch.from_numpy(points[which]))
    return cameras, points, FeatureTracks(which, views, pixels.numpy())


def errors(poses, true):
    return compare_cameras(poses, true.poses.numpy())


def test_exact_rays_meet_in_their_points(observed):
    cameras, points, tracks = observed
    met = triangulate(tracks, cameras.intrinsics.numpy(), cameras.poses.numpy())
    np.testing.assert_allclose(met, points, atol=1e-5)


def test_cameras_and_points_come_back_up_to_a_similarity(observed):
    cameras, points, tracks = observed
    rough = perturb_cameras(cameras, 2.0, 0.02, seed=0)
    assert errors(rough.poses.numpy(), cameras).rotation_degrees.mean() > 1.5
    poses, found, pixels = BundleAdjustment(rough, tracks, noise=0.5).solve(40)
    after = errors(poses, cameras)
    assert after.rotation_degrees.max() < 1e-3 and after.centre_distances.max() < 1e-4
    np.testing.assert_allclose(after.similarity.points(found), points, atol=1e-4)
    assert pixels.max() < 0.01


def test_wrong_matches_fade_out(observed):
    cameras, _, tracks = observed
    rng = np.random.default_rng(3)
    wrong = rng.random(len(tracks.views)) < 0.05
    tracks.pixels[wrong] += rng.uniform(-80, 80, (wrong.sum(), 2))
    rough = perturb_cameras(cameras, 1.0, 0.01, seed=1)
    poses, _, pixels = BundleAdjustment(rough, tracks, noise=0.5).solve(40)
    after = errors(poses, cameras)
    assert after.rotation_degrees.max() < 0.05
    assert np.median(pixels[wrong]) > 10 > 1 > np.median(pixels[~wrong])


def test_the_linearised_system_is_the_derivative_of_the_cost(observed):
    """The slope, points eliminated from neither: against central differences of the cost."""
    cameras, _, tracks = observed
    tracks.pixels += np.random.default_rng(4).normal(0, 0.6, tracks.pixels.shape)
    problem = BundleAdjustment(perturb_cameras(cameras, 0.3, 0.003, seed=2), tracks, noise=0.7)
    state = problem._state(problem.start, triangulate(tracks, problem.intrinsics, problem.start))
    system = problem._system(state)
    rng, step = np.random.default_rng(5), 1e-6
    for _ in range(4):
        motions, shifts = rng.normal(0, 1, (8, 6)), rng.normal(0, 1, (60, 3))
        ahead, behind = (problem._moved(state, sign * step * motions, sign * step * shifts).cost for sign in (1, -1))
        slope = 2 * (system.slope @ motions.ravel() + system.slope_of_points @ shifts.ravel())
        assert (ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_a_camera_that_nothing_sees_stays(observed):
    cameras, _, tracks = observed
    kept = tracks.views != 5
    _, points = np.unique(tracks.points[kept], return_inverse=True)
    fewer = FeatureTracks(points, tracks.views[kept], tracks.pixels[kept])
    rough = perturb_cameras(cameras, 1.0, 0.01, seed=1)
    poses, _, _ = BundleAdjustment(rough, fewer, noise=0.5).solve(10)
    np.testing.assert_allclose(poses[5], rough.poses[5].numpy(), atol=1e-9)
