"""Tracks from descriptors whose points are known, in views whose cameras are."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nsr.scenes.features import Features
from nsr.training.feature_tracks import features_of, find_tracks


def described(pixels, descriptors):
    features = Features(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool))
    features.pixels, features.descriptors = pixels, descriptors.astype(np.float32)
    return features


@pytest.fixture
def seen(sphere_truth):
    """Forty points with descriptors of their own in eight views 15 degrees apart, in shuffled order."""
    rng = np.random.default_rng(0)
    intrinsics = sphere_truth.cameras.intrinsics.numpy().copy()
    intrinsics[:, :2] *= 10
    turns = Rotation.from_euler("z", 15 * np.arange(8)[:, None], degrees=True).as_matrix()
    poses = np.tile(sphere_truth.cameras.poses[0].numpy(), (8, 1, 1))
    poses[:, :3] = turns @ poses[:, :3]
    points = rng.uniform(-0.5, 0.5, (40, 3))
    own = rng.random((40, 128))
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    features, orders = [], []
    for view in range(8):
        order = rng.permutation(40)
        in_camera = (points[order] - poses[view, :3, 3]) @ poses[view, :3, :3] @ intrinsics[view].T
        features.append(described(in_camera[:, :2] / in_camera[:, 2:], own[order]))
        orders.append(order)
    return features, orders, intrinsics, poses


def identities(tracks, features, orders):
    """The point that each observation really shows."""
    found = [np.flatnonzero((features[v].pixels == p).all(1))[0] for v, p in zip(tracks.views, tracks.pixels)]
    return np.array([orders[v][f] for v, f in zip(tracks.views, found)])


def test_every_track_is_one_point_in_all_views(seen):
    features, orders, intrinsics, poses = seen
    tracks = find_tracks(features, intrinsics, poses, reach=2.0)
    assert tracks.count == 40 and len(tracks.views) == 40 * 8
    shown = identities(tracks, features, orders)
    for point in range(40):
        assert len(set(shown[tracks.points == point])) == 1
        assert len(set(tracks.views[tracks.points == point])) == 8


def test_what_looks_alike_is_told_apart_by_epipolar_lines(seen):
    """Two descriptors for forty points: without cameras nothing is clear; along the lines some are."""
    features, orders, intrinsics, poses = seen
    kinds = np.eye(128)[:2]
    for each, order in zip(features, orders):
        each.descriptors = kinds[order % 2].astype(np.float32)
    blind = find_tracks(features, intrinsics, poses, reach=1e6)
    assert blind.count == 0
    guided = find_tracks(features, intrinsics, poses, reach=0.5)
    assert guided.count > 5
    shown = identities(guided, features, orders)
    assert all(len(set(shown[guided.points == point] % 2)) == 1 for point in range(guided.count))


def test_a_track_never_sees_a_view_twice(seen):
    """A second point with the first one's descriptor, in one view only, would tie two features of it together."""
    features, _, intrinsics, poses = seen
    for view in (1, 3):
        features[view].pixels = np.concatenate([features[view].pixels, features[view].pixels[:20] + 0.7])
        features[view].descriptors = np.concatenate(
            [features[view].descriptors, np.roll(features[view].descriptors[:20], 1, axis=1)]
        )
    tracks = find_tracks(features, intrinsics, poses, reach=3.0)
    pairs = np.stack([tracks.points, tracks.views])
    assert len(np.unique(pairs, axis=1).T) == len(tracks.views)


def test_views_without_features_are_left_out(seen):
    features, _, intrinsics, poses = seen
    features[2] = described(np.zeros((0, 2)), np.zeros((0, 128)))
    assert 2 not in find_tracks(features, intrinsics, poses, reach=2.0).views
    nothing = [described(np.zeros((0, 2)), np.zeros((0, 128)))] * 8
    assert find_tracks(nothing, intrinsics, poses, reach=2.0).count == 0


def test_large_pictures_are_looked_at_smaller_with_pixels_of_their_own(monkeypatch):
    rng = np.random.default_rng(1)
    blobs = np.full((120, 160, 3), 30, np.uint8)
    centres = np.array([[40, 30], [100, 80], [130, 40]])
    v, u = np.mgrid[:120, :160]
    for centre in centres:
        blobs[np.hypot(u - centre[0], v - centre[1]) < rng.uniform(7, 9)] = 220
    mask = np.ones((120, 160), bool)
    monkeypatch.setattr("nsr.training.feature_tracks.LARGEST_SIDE", 80)
    small = features_of(blobs, mask)
    for centre in centres:
        assert np.linalg.norm(small.pixels - centre, axis=1).min() < 0.5
    np.testing.assert_allclose((small.descriptors**2).sum(1), 1, atol=1e-5)
    assert torch.from_numpy(small.descriptors).dtype == torch.float32
