"""Cameras from outlines: exact outlines of ellipsoids, drawn from their quadrics, and real masks."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nsr.evaluation.camera_accuracy import compare_cameras, evaluate_cameras
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.perturb import perturb_cameras
from nsr.training.outline_alignment import align_outlines, with_outlines_aligned

SIZE = 320
# One ellipsoid would look the same from a family of cameras.
ELLIPSOIDS = [
    ([0.0, 0.0, 0.0], [0.45, 0.25, 0.2]),
    ([0.3, 0.2, 0.25], [0.15, 0.3, 0.12]),
    ([-0.2, -0.1, 0.3], [0.1, 0.12, 0.35]),
    ([-0.1, 0.25, -0.3], [0.25, 0.1, 0.15]),
]


def ring_of_cameras(count: int) -> Cameras:
    """Looking at the origin from 3 away, at heights that go up and down."""
    angles = 2 * np.pi * np.arange(count) / count
    centres = np.stack([np.cos(angles), np.sin(angles), 0.6 * np.cos(3 * angles + 0.5)], axis=-1)
    centres *= 3 / np.linalg.norm(centres, axis=-1, keepdims=True)
    forward = -centres / 3
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
    poses[:, :3, 3] = centres
    intrinsics = np.tile([[500.0, 0, SIZE / 2], [0, 500.0, SIZE / 2], [0, 0, 1]], (count, 1, 1))
    return Cameras(torch.from_numpy(intrinsics), torch.from_numpy(poses))


def outline_mask(cameras: Cameras, view: int) -> torch.Tensor:
    """Pixels whose rays meet an ellipsoid: the discriminant of a quadratic equation."""
    v, u = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pixels = torch.stack([u, v], -1).view(-1, 2).double()
    origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
    mask = torch.zeros(len(pixels), dtype=torch.bool)
    for centre, radii in ELLIPSOIDS:
        o, d = ((x / torch.tensor(radii)) for x in (origins - torch.tensor(centre), directions))
        mask |= (o * d).sum(1) ** 2 >= (d * d).sum(1) * ((o * o).sum(1) - 1)
    return mask.view(SIZE, SIZE)


def errors(cameras: Cameras, true: Cameras):
    return compare_cameras(cameras.poses.numpy(), true.poses.numpy())


@pytest.fixture(scope="module")
def ellipsoids():
    cameras = ring_of_cameras(13)
    return [outline_mask(cameras, view) for view in range(len(cameras))], cameras


def test_rough_cameras_come_back(ellipsoids):
    masks, true = ellipsoids
    rough = perturb_cameras(true, 2.0, 0.02, seed=1)
    before, after = errors(rough, true), errors(align_outlines(masks, rough, 10), true)
    assert after.rotation_degrees.mean() < 0.45 * before.rotation_degrees.mean()
    assert after.centre_distances.mean() < 0.5 * before.centre_distances.mean()


def test_the_frame_stays(ellipsoids):
    masks, true = ellipsoids
    drifted = perturb_cameras(true, 2.0, 0.02, seed=2)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = torch.from_numpy(Rotation.from_rotvec([0.02, 0.05, -0.03]).as_matrix())
    given = Cameras(drifted.intrinsics, turn @ drifted.poses)
    similarity = errors(align_outlines(masks, given, 6), given).similarity
    np.testing.assert_allclose(similarity.matrix(), np.eye(4), atol=1e-9)


def test_no_steps_and_masks_that_say_nothing_leave_the_cameras(ellipsoids, caplog):
    masks, true = ellipsoids
    torch.testing.assert_close(align_outlines(masks, true, 0).poses, true.poses)
    for nothing in (torch.ones(SIZE, SIZE, dtype=torch.bool), torch.zeros(SIZE, SIZE, dtype=torch.bool)):
        assert align_outlines([nothing] * len(true), true, 5).poses is true.poses
    assert "too few pairs of views" in caplog.text


def test_specks_do_not_move_cameras(ellipsoids):
    masks, true = ellipsoids[0][:6], ellipsoids[1].select(list(range(6)))
    specked = [mask.clone() for mask in masks]
    specked[3][5:8, 5:8] = True
    torch.testing.assert_close(align_outlines(specked, true, 5).poses, align_outlines(masks, true, 5).poses)


def test_a_wrong_mask_keeps_its_camera_and_leaves_the_others_alone(ellipsoids, caplog):
    masks, true = ellipsoids
    rough = perturb_cameras(true, 1.0, 0.01, seed=3)
    wrong = [mask.clone() for mask in masks]
    wrong[5][:, SIZE // 2 :] = False
    after = errors(align_outlines(wrong, rough, 10), true)
    others = np.arange(len(true)) != 5
    assert after.rotation_degrees[others].mean() < 0.8 * errors(rough, true).rotation_degrees[others].mean()
    assert after.rotation_degrees[5] < 2.5
    assert "the outlines of 1 of 13 views fit no camera" in caplog.text


def test_held_out_views_are_neither_read_nor_moved(sphere_scene):
    rough = perturb_cameras(sphere_scene.cameras, 1.0, 0.01, seed=0)
    sphere_scene.cameras = rough
    for view in sphere_scene.heldout_views:
        sphere_scene.masks[view] = None
    aligned = with_outlines_aligned(sphere_scene, 3).cameras.poses
    held_out = sphere_scene.heldout_views
    assert torch.equal(aligned[held_out], rough.poses[held_out])
    assert not torch.allclose(aligned[sphere_scene.train_views], rough.poses[sphere_scene.train_views], atol=1e-4)


def test_dtu_linear_cameras():
    """IDR's noisy cameras of scan 65: 1.3 degrees at the start."""
    root = os.environ.get("NSR_DATA")
    if not root or not (Path(root) / "DTU" / "scan65").is_dir():
        pytest.skip("NSR_DATA names no folder with DTU/scan65")
    scene = load_scene(Path(root) / "DTU" / "scan65", cam_file="cameras_linear_init.npz")
    given = evaluate_cameras(scene.cameras.poses.numpy(), scene)
    aligned = evaluate_cameras(with_outlines_aligned(scene, 3).cameras.poses.numpy(), scene)
    assert given.rotation_degrees.mean() > 1.2 and aligned.rotation_degrees.mean() < 0.8
