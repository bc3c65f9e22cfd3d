"""A view's maps hold each other to account: exact ones keep their confidence, what contradicts the others loses it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nsr.priors.conversion import metric_points
from nsr.priors.loading import load_bundle
from nsr.priors.within_view import gate_within_view, plane_normals, reattached

VIEW = 2
PAINT = np.array([0.8, 0.5, 0.3])


@pytest.fixture
def exact(sphere_scene, sphere_maps, write_sphere_bundle, tmp_path):
    """Depth, normals, a plain albedo and a shading of the normal; and the photograph that they make."""
    maps = sphere_maps(VIEW)
    shading = np.where(maps.mask, 0.6 + 0.4 * maps.normal[..., 2], 0)[..., None].repeat(3, -1)
    albedo = maps.mask[..., None] * PAINT
    colours = {"albedo": albedo, "albedo_confidence": maps.mask, "shading": shading, "shading_confidence": maps.mask}
    colours = {name: values.astype(np.float32) for name, values in colours.items()}
    path = write_sphere_bundle(tmp_path, VIEW, **colours)
    bundle = load_bundle(sphere_scene, VIEW, path, f"{VIEW:03d}")
    return bundle, torch.from_numpy((255 * albedo * shading).round().astype(np.uint8))


@pytest.fixture
def patch(sphere_maps):
    """Four by four pixels in the middle of the sphere, and all other pixels of it but those beside the patch."""
    rows, columns = (round(axis.mean()) for axis in np.nonzero(sphere_maps(VIEW).mask))
    wrong, around = np.zeros((2, *sphere_maps(VIEW).mask.shape), dtype=bool)
    wrong[rows - 2 : rows + 2, columns - 2 : columns + 2] = True
    around[rows - 5 : rows + 5, columns - 5 : columns + 5] = True
    return wrong, sphere_maps(VIEW).mask & ~around


def gated(bundle, photograph, scene):
    return gate_within_view(bundle, scene.cameras, VIEW, photograph, 0.05, 20.0, 0.2)


KINDS = ("depth", "normal", "albedo", "shading")


def test_exact_priors_keep_their_confidence(exact, sphere_scene, sphere_maps):
    """But at the rim, where a pixel's step in depth is as large as between surfaces."""
    bundle, photograph = exact
    after = gated(bundle, photograph, sphere_scene)
    frame, maps = sphere_maps(VIEW).frame, sphere_maps(VIEW)
    towards = frame.pose[:3, 3] - metric_points(bundle, sphere_scene.cameras, VIEW)
    facing = (maps.normal * towards).sum(-1) > 0.7 * np.linalg.norm(towards, axis=-1)
    assert facing.sum() > 0.4 * maps.mask.sum()
    for kind in KINDS:
        assert getattr(after, f"{kind}_confidence")[maps.mask & facing].min() > 0.85, kind
        assert (getattr(after, f"{kind}_confidence")[~maps.mask] == 0).all()


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_small_piece_of_depth_without_the_surfaces_shape_is_doubtful(sign, exact, patch, sphere_scene):
    bundle, photograph = exact
    wrong, elsewhere = patch
    rough = np.random.default_rng(0).uniform(0.2, 0.4, bundle.size) * wrong
    moved = replace(bundle, depth=(bundle.depth + sign * rough).astype(np.float32))
    before, after = (gated(one, photograph, sphere_scene) for one in (bundle, moved))
    assert after.depth_confidence[wrong].max() < 0.3
    assert np.array_equal(after.depth[wrong], moved.depth[wrong])
    assert np.array_equal(after.depth_confidence[elsewhere], before.depth_confidence[elsewhere])


@pytest.mark.parametrize("factor", [0.92, 1.05])
def test_a_displaced_piece_of_depth_is_put_back(factor, exact, patch, sphere_scene):
    """Also where two pieces, each displaced by its own factor, lie side by side."""
    bundle, photograph = exact
    wrong, elsewhere = patch
    both = bundle.depth.copy()
    beside = np.roll(wrong, 4, axis=1)
    both[wrong] *= factor
    both[beside] *= 2 - factor
    after = gated(replace(bundle, depth=both), photograph, sphere_scene)
    either = wrong | beside
    assert np.abs(both - bundle.depth)[either].min() > 0.05
    assert np.abs(after.depth - bundle.depth)[either].max() < 0.01
    assert after.depth_confidence[either].min() > 0.99
    assert np.array_equal(after.depth[~either], bundle.depth[~either])


def test_a_piece_that_borders_on_nothing_stays_where_it_is(exact, patch, sphere_scene):
    """An arm before the body jumps by one factor too, where it crosses it; but it ends in the background."""
    bundle, photograph = exact
    known = bundle.depth_confidence > 0
    rows = np.nonzero(known.any(axis=1))[0]
    arm = np.zeros_like(known)
    arm[rows[0] : rows[0] + 6, 30:34] = True
    before = replace(bundle, depth=np.where(arm & known, 0.9 * bundle.depth, bundle.depth).astype(np.float32))
    depth, small = reattached(before.depth, known, 0.05)
    assert (arm & known).sum() > 12 and np.array_equal(depth, before.depth) and small[arm & known].all()


def test_normals_that_are_not_the_depths_give_way_to_these(exact, patch, sphere_scene):
    """All of them, where there is no edge about which one could tell; the depth's take their place."""
    bundle, photograph = exact
    axis, half = np.array([0.0, 0.0, 1.0]), np.radians(25)
    turn = np.cos(2 * half) * np.eye(3) + (1 - np.cos(2 * half)) * np.outer(axis, axis)
    turn += np.sin(2 * half) * np.array([[0, -1, 0], [1, 0, 0], [0, 0, 0]])
    turned = replace(bundle, normal=(bundle.normal @ turn.T).astype(np.float32))
    off = (turned.normal * bundle.normal).sum(-1) < np.cos(np.radians(40))
    wrong = off & (bundle.normal_confidence > 0)
    assert wrong.sum() > 100
    before, after = (gated(one, photograph, sphere_scene) for one in (bundle, turned))
    assert np.array_equal(after.depth_confidence, before.depth_confidence)
    believed = wrong & (after.normal_confidence > 0.5)
    assert believed.sum() > 0.8 * wrong.sum()
    right = (after.normal * bundle.normal).sum(-1)
    assert np.median(right[believed]) > np.cos(np.radians(4))
    np.testing.assert_allclose(np.linalg.norm(after.normal[believed], axis=-1), 1, atol=1e-5)


def test_normals_beside_a_noisy_depth_are_not_blamed(exact, sphere_scene):
    """Planes through noise have no sure normal."""
    bundle, photograph = exact
    noise = np.random.default_rng(0).normal(0, 0.2, bundle.size).astype(np.float32)
    noisy = replace(bundle, depth=bundle.depth + noise)
    after = gated(noisy, photograph, sphere_scene)
    assert np.median(after.normal_confidence[bundle.normal_confidence > 0]) > 0.9


def test_a_decomposition_that_is_not_the_photograph_loses_confidence(exact, patch, sphere_scene):
    """In the wrong place; a colour of the whole view is nobody's fault."""
    bundle, photograph = exact
    wrong, elsewhere = patch
    colour = np.float32([0.5, 1.4, 0.9])
    told = bundle.albedo * np.where(wrong[..., None], colour, 1) * np.float32([1.3, 0.8, 1.0])
    after = gated(replace(bundle, albedo=told.astype(np.float32)), photograph, sphere_scene)
    dark = (bundle.albedo * bundle.shading).min(-1) < 0.05  # where a grey level is a large part
    for values in (after.albedo_confidence, after.shading_confidence):
        assert values[wrong].max() < 0.1 and values[elsewhere & ~dark].min() > 0.85


def test_maps_that_are_not_there_are_not_compared(exact, sphere_scene):
    bundle, photograph = exact
    without = {"depth": None, "depth_confidence": None, "shading": None, "shading_confidence": None}
    after = gated(replace(bundle, **without), photograph, sphere_scene)
    assert after.depth_confidence is None and np.array_equal(after.albedo_confidence, bundle.albedo_confidence)
    assert np.array_equal(after.normal_confidence > 0.5, bundle.normal_confidence > 0.5)
    affine = gated(replace(bundle, depth_kind="affine"), photograph, sphere_scene)
    assert np.array_equal(affine.depth_confidence, bundle.depth_confidence)


def test_plane_normals_are_those_of_planes_and_know_how_sure_they_are():
    """Of exact points to rounding; of noisy ones the stated deviation is the measured one."""
    rng = np.random.default_rng(1)
    v, u = np.mgrid[:60, :60] * 0.01
    points = np.stack([u, v, 0.5 * u - 0.3 * v], axis=-1)
    true = np.array([0.5, -0.3, -1]) / np.sqrt(1.34)
    known = np.ones((60, 60), dtype=bool)
    normal, deviation = plane_normals(points, known)
    assert np.abs(normal @ true).min() > 1 - 1e-9 and deviation[5:-5, 5:-5].max() < 0.01
    noisy = points + 0.001 * rng.normal(size=(60, 60, 1)) * true
    normal, deviation = plane_normals(noisy, known)
    error = np.degrees(np.arccos(np.abs(normal @ true).clip(0, 1)))[5:-5, 5:-5]
    measured, stated = np.sqrt((error**2).mean() / 2), np.sqrt((deviation[5:-5, 5:-5] ** 2).mean())
    assert measured == pytest.approx(stated, rel=0.35)
    known[:, 30:] = False
    assert np.isinf(plane_normals(points, known)[1][:, 32:]).all()
