"""Exact views confirm each other; what one of them says wrongly is found by the others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.priors.cross_view import gate_by_neighbours
from nsr.priors.loading import load_bundles

VIEWS = [0, 1, 2, 3]


@pytest.fixture
def bundles(sphere_scene, write_sphere_bundle, tmp_path):
    for view in VIEWS:
        write_sphere_bundle(tmp_path, view)
    return load_bundles(sphere_scene, tmp_path, VIEWS)


def gated(scene, bundles, neighbours=3):
    return gate_by_neighbours(bundles, scene.cameras, scene.masks, neighbours, 0.03, 15.0)


def patch_of(bundle):
    """Eight by eight pixels in the middle of the sphere."""
    rows, columns = (np.round(np.mean(axis)).astype(int) for axis in np.nonzero(bundle.depth_confidence))
    patch = np.zeros(bundle.size, dtype=bool)
    patch[rows - 4 : rows + 4, columns - 4 : columns + 4] = True
    return patch


def test_exact_priors_keep_their_confidence(sphere_scene, bundles):
    """What no other view sees loses some: the sphere itself is in the way."""
    for view, bundle in gated(sphere_scene, bundles).items():
        middle, known = patch_of(bundles[view]), bundles[view].depth_confidence > 0
        if view in (1, 2):  # which have a neighbour on either side
            assert bundle.depth_confidence[middle].min() > 0.6
        assert bundle.normal_confidence[middle].min() > 0.99
        assert bundle.depth_confidence[known].min() > 0.3 and bundle.depth_confidence[known].mean() > 0.5
        assert (bundle.depth_confidence[~known] == 0).all()


@pytest.mark.parametrize("shift", [-0.3, 0.3])
def test_a_depth_that_is_wrong_in_one_view_loses_confidence(shift, sphere_scene, bundles):
    patch = patch_of(bundles[1])
    wrong = bundles[1].depth + shift * patch.astype(np.float32)
    before = gated(sphere_scene, bundles)
    after = gated(sphere_scene, {**bundles, 1: replace(bundles[1], depth=wrong)})
    assert after[1].depth_confidence[patch].mean() < (0.25 if shift < 0 else 0.5)
    elsewhere = (bundles[1].depth_confidence > 0) & ~patch
    change = np.abs(after[1].depth_confidence - before[1].depth_confidence)[elsewhere]
    assert change.mean() < 0.01 and np.median(change) == 0
    for view in (0, 2, 3):  # one liar does not take the honest ones down
        known = bundles[view].depth_confidence > 0
        assert after[view].depth_confidence[known].mean() > 0.9 * before[view].depth_confidence[known].mean()


def test_a_depth_behind_what_others_see_before_it_is_contradicted(sphere_scene, bundles):
    """A claim to see through the sphere: its neighbours' points stand before it.  They have only themselves, and so
    lose some, too."""
    patch = patch_of(bundles[1])
    deep = replace(bundles[1], depth=bundles[1].depth + 0.6 * patch.astype(np.float32))
    after = gated(sphere_scene, {**bundles, 1: deep})
    hidden_alone = 0.5 / (2 * 0.25 + 0.5)  # what two that see something nearer take from a depth
    assert np.median(after[1].depth_confidence[patch]) < 0.8 * hidden_alone
    assert np.median(after[1].normal_confidence[patch]) > 0.9  # the normal is that of the points before it


def test_normals_are_compared_with_those_of_points_before_a_wrong_depth(sphere_scene, bundles):
    patch = patch_of(bundles[1])
    turned = bundles[1].normal.copy()
    turned[patch] = np.roll(turned[patch], 1, axis=-1)
    deep = replace(bundles[1], depth=bundles[1].depth + 0.6 * patch.astype(np.float32), normal=turned)
    after = gated(sphere_scene, {**bundles, 1: deep})
    assert np.median(after[1].normal_confidence[patch]) < 0.5


def test_a_normal_that_is_wrong_in_one_view_loses_confidence(sphere_scene, bundles):
    patch = patch_of(bundles[2])
    turned = bundles[2].normal.copy()
    turned[patch] = np.roll(turned[patch], 1, axis=-1)
    after = gated(sphere_scene, {**bundles, 2: replace(bundles[2], normal=turned)})
    assert after[2].normal_confidence[patch].mean() < 0.5
    assert after[2].depth_confidence[patch].min() > 0.6


def test_what_cannot_be_carried_stays_as_it_is(sphere_scene, bundles):
    normals = replace(bundles[0], depth=None, depth_confidence=None)
    affine = replace(bundles[1], depth_kind="affine")
    after = gated(sphere_scene, {**bundles, 0: normals, 1: affine})
    assert after[0] is normals and after[1] is affine
    alone = gated(sphere_scene, {2: bundles[2]})
    assert alone[2] is bundles[2]


def test_more_neighbours_than_views_are_all_views(sphere_scene, bundles):
    many, three = gated(sphere_scene, bundles, 20), gated(sphere_scene, bundles, 3)
    assert all(np.array_equal(many[view].depth_confidence, three[view].depth_confidence) for view in VIEWS)
