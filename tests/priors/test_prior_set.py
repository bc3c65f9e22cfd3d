"""Pixels are looked up where they belong, whatever the views' sizes, and nothing is known elsewhere."""

import numpy as np
import pytest
import torch

from nsr.priors.bundle import PriorBundle
from nsr.priors.conversion import harmonics_at
from nsr.priors.prior_set import PriorSet

RANDOM = np.random.default_rng(0)


def maps(size, channels=None):
    return RANDOM.random((*size, channels) if channels else size).astype(np.float32)


@pytest.fixture
def bundles():
    small, large = (48, 64), (30, 20)
    normal = np.zeros((*small, 3), dtype=np.float32)
    normal[..., 2] = 1
    return {
        1: PriorBundle(
            "001", "sphere", depth=maps(small), depth_confidence=maps(small), normal=normal,
            normal_confidence=maps(small), harmonics=RANDOM.random((9, 3)).astype(np.float32),
            shading_confidence=np.full(small, 0.5, dtype=np.float32),
        ),
        6: PriorBundle(
            "006", "sphere", depth=maps(large), depth_confidence=maps(large), depth_kind="affine",
            albedo=maps(large, 3), albedo_confidence=maps(large),
        ),
    }  # fmt: skip


def test_every_pixel_has_its_own_value(sphere_scene, bundles):
    priors = PriorSet(sphere_scene, bundles, ["depth", "normal", "albedo"])
    for view, bundle in bundles.items():
        height, width = bundle.size
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([u.flatten(), v.flatten()], dim=1).float()
        samples = priors.sample(torch.full((len(pixels),), view), pixels)
        if view == 1:
            assert torch.equal(samples.depth, torch.from_numpy(bundle.depth).flatten())
        else:  # up to its scale and shift
            stretched = np.polyval(np.polyfit(bundle.depth.ravel(), samples.depth.numpy(), 1), bundle.depth.ravel())
            np.testing.assert_allclose(samples.depth, stretched, atol=1e-5)
        torch.testing.assert_close(
            samples.depth_confidence, torch.from_numpy(bundle.depth_confidence).flatten(), atol=5e-4, rtol=0
        )
        assert samples.affine.all() if view == 6 else not samples.affine.any()
        expected = bundle.albedo if view == 6 else np.zeros((*bundle.size, 3), dtype=np.float32)
        torch.testing.assert_close(samples.albedo, torch.from_numpy(expected).reshape(-1, 3), atol=5e-4, rtol=0)
        assert (samples.normal_confidence > 0).any() == (view == 1)


@pytest.mark.parametrize(("scale", "offset"), [(1e-7, 0.0), (1.0, 1e6), (1e12, -1e12)])
def test_affine_depths_are_of_order_one_whatever_their_unit(scale, offset, sphere_scene):
    relative = maps((48, 64)).astype(np.float64)
    bundle = PriorBundle(
        "001", "sphere", depth=relative * scale + offset, depth_confidence=np.ones((48, 64)), depth_kind="affine"
    )
    bundle.depth[5, 5] = np.finfo(np.float32).max  # a slip
    pixels = torch.tensor([[float(u), 7.0] for u in range(64)] + [[5.0, 5.0]])
    found = PriorSet(sphere_scene, {1: bundle}, ["depth"]).sample(torch.ones(65, dtype=torch.int64), pixels).depth
    assert np.corrcoef(found[:64], relative[7])[0, 1] > 0.9999 and 0.5 < found[:64].std() < 3
    assert found[64] == 100


def test_views_without_a_bundle_know_nothing(sphere_scene, bundles):
    priors = PriorSet(sphere_scene, bundles, ["depth", "normal", "shading"])
    samples = priors.sample(torch.tensor([0, 2, 7]), torch.tensor([[63.0, 47.0], [0.0, 0.0], [19.0, 29.0]]))
    for confidence in (samples.depth_confidence, samples.normal_confidence, samples.shading_confidence):
        assert torch.equal(confidence, torch.zeros(3))
    assert not samples.has_light.any()


def test_z_depth_per_ray_length_is_the_rays_cosine(sphere_scene, bundles):
    priors = PriorSet(sphere_scene, bundles, ["depth"])
    views, pixels = torch.tensor([6, 6, 1]), torch.tensor([[3.0, 25.0], [19.0, 0.0], [3.0, 25.0]])
    _, directions = sphere_scene.cameras.rays(views, pixels)
    cosine = (directions * sphere_scene.cameras.poses[views][:, :3, 2]).sum(1)
    expected = torch.tensor([cosine[0], cosine[1], 1.0])  # a metric depth is a ray length already
    torch.testing.assert_close(priors.sample(views, pixels).measure_per_length, expected)


def test_shading_is_made_of_light_and_normals_where_there_is_no_map(sphere_scene, bundles):
    samples = PriorSet(sphere_scene, bundles, ["shading"]).sample(torch.tensor([1]), torch.tensor([[5.0, 7.0]]))
    expected = harmonics_at(torch.tensor([[0.0, 0, 1]])) @ torch.from_numpy(bundles[1].harmonics)
    torch.testing.assert_close(samples.shading, expected, atol=2e-3, rtol=1e-3)
    assert samples.shading_confidence.item() == pytest.approx(0.5 * bundles[1].normal_confidence[7, 5], abs=1e-3)
    assert torch.equal(samples.harmonics[0], torch.from_numpy(bundles[1].harmonics)) and samples.has_light.all()


def test_kinds_are_those_that_have_a_value(sphere_scene, bundles):
    priors = PriorSet(sphere_scene, {6: bundles[6]}, ["depth", "normal", "albedo", "shading"])
    assert priors.kinds == {"depth", "albedo"}
    assert priors.has_affine_depth and not priors.has_metric_depth
    albedo = PriorSet(sphere_scene, {6: bundles[6]}, ["albedo"])
    assert albedo.sample(torch.tensor([6]), torch.zeros(1, 2)).depth is None
