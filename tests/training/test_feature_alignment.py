"""Cameras from features and outlines together: a patterned ball with knobs, drawn exactly."""

import numpy as np
import pytest
import torch

from nsr.evaluation.camera_accuracy import compare_cameras
from nsr.scenes.cameras import Cameras
from nsr.scenes.perturb import perturb_cameras
from nsr.scenes.scene import Scene
from nsr.training.feature_alignment import align_features, with_features_aligned
from nsr.training.outline_alignment import align_outlines

SIZE = 200
BALLS = [((0.0, 0.0, 0.0), 0.5), ((0.35, 0.2, 0.25), 0.25), ((-0.3, -0.1, 0.35), 0.22), ((-0.1, 0.3, -0.35), 0.25)]
VIEWS = 10


def looking_inward():
    poses = torch.eye(4, dtype=torch.float64).repeat(VIEWS, 1, 1)
    for view in range(VIEWS):
        angle = torch.tensor(0.35 * view, dtype=torch.float64)
        outward = torch.stack([angle.cos(), angle.sin(), 0.3 * (2.1 * angle).sin()])
        outward = torch.nn.functional.normalize(outward, dim=0)
        up = torch.tensor([0, 0, 1.0], dtype=torch.float64)
        right = torch.nn.functional.normalize(torch.linalg.cross(-outward, up), dim=0)
        poses[view, :3, :3] = torch.stack([right, torch.linalg.cross(-outward, right), -outward], dim=1)
        poses[view, :3, 3] = 3 * outward
    half = (SIZE - 1) / 2
    intrinsics = torch.tensor([[380.0, 0, half], [0, 380, half], [0, 0, 1]], dtype=torch.float64)
    return Cameras(intrinsics.repeat(VIEWS, 1, 1), poses)


def photograph(cameras, view, textured):
    v, u = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    origins, directions = cameras.rays(torch.full((SIZE * SIZE,), view), torch.stack([u, v], -1).view(-1, 2).double())
    nearest = torch.full((SIZE * SIZE,), torch.inf, dtype=torch.float64)
    for centre, radius in BALLS:
        offset = origins - torch.tensor(centre, dtype=torch.float64)
        along = (offset * directions).sum(1)
        inside = along**2 - offset.square().sum(1) + radius**2
        nearest = torch.minimum(nearest, torch.where(inside > 0, -along - inside.clamp_min(0).sqrt(), torch.inf))
    hit = nearest.isfinite()
    points = origins + torch.where(hit, nearest, 3.0).unsqueeze(1) * directions
    # Waves of irrational directions: no two places look alike.
    generator = torch.Generator().manual_seed(0)
    waves = 60 * torch.randn(3, 24, generator=generator).double()
    pattern = torch.sin(points @ waves + 6 * torch.rand(24, generator=generator)).mean(1, keepdim=True)
    colour = (128 + (450 * pattern if textured else 0 * pattern)).clamp(0, 255).expand(-1, 3).clone()
    colour[~hit] = 250
    return colour.round().to(torch.uint8).view(SIZE, SIZE, 3), hit.view(SIZE, SIZE)


@pytest.fixture(scope="module")
def balls():
    cameras = looking_inward()
    images, masks = zip(*(photograph(cameras, view, True) for view in range(VIEWS)))
    return list(images), list(masks), cameras


def errors(cameras, true):
    return compare_cameras(cameras.poses.double().numpy(), true.poses.numpy())


def test_rough_cameras_come_back_tenfold_and_better_than_from_outlines(balls):
    images, masks, true = balls
    rough = perturb_cameras(true, 2.0, 0.02, seed=1)
    given, outlines = errors(rough, true), align_outlines(masks, rough, 3)
    after = errors(align_features(images, masks, outlines, 3), true)
    assert after.rotation_degrees.mean() < 0.1 * given.rotation_degrees.mean()
    assert after.centre_distances.mean() < 0.1 * given.centre_distances.mean()
    assert after.rotation_degrees.mean() < 0.5 * errors(outlines, true).rotation_degrees.mean()


def test_full_masks_leave_it_to_features(balls):
    images, masks, true = balls
    rough = perturb_cameras(true, 1.0, 0.01, seed=2)
    after = errors(align_features(images, [torch.ones_like(mask) for mask in masks], rough, 3), true)
    assert after.rotation_degrees.mean() < 0.2 * errors(rough, true).rotation_degrees.mean()


def test_the_frame_stays(balls):
    images, masks, true = balls
    rough = perturb_cameras(true, 1.0, 0.01, seed=3)
    aligned = align_features(images, masks, rough, 1)
    np.testing.assert_allclose(errors(aligned, rough).similarity.matrix(), np.eye(4), atol=1e-6)


def test_without_texture_cameras_stay(balls, caplog):
    _, masks, true = balls
    plain = [photograph(true, view, False)[0] for view in range(VIEWS)]
    assert align_features(plain, masks, true, 3).poses is true.poses
    assert "features are not aligned" in caplog.text


def test_held_out_views_are_neither_read_nor_moved(balls):
    images, masks, true = balls
    rough = perturb_cameras(true, 1.0, 0.01, seed=4)
    held_out = [4]
    kept = [view for view in range(VIEWS) if view not in held_out]
    scene = Scene(
        "balls", [None if view in held_out else image for view, image in enumerate(images)],
        [None if view in held_out else mask for view, mask in enumerate(masks)], rough, np.eye(4), kept, held_out,
    )  # fmt: skip
    aligned = with_features_aligned(scene, 1).cameras.poses
    assert torch.equal(aligned[held_out], rough.poses[held_out])
    assert not torch.allclose(aligned[kept], rough.poses[kept], atol=1e-4)
