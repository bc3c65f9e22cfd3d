import numpy as np
import pytest
import torch

from nsr.errors import NsrError
from nsr.evaluation.camera_path import default_views, path_from_file, path_through_views, resized
from nsr.scenes.camera_file import write_camera_file
from nsr.scenes.cameras import Cameras


def test_the_path_passes_its_views_and_looks_at_the_object_between(sphere_truth):
    views = [0, 2, 5, 6]
    path = path_through_views(sphere_truth.cameras, views, 40)
    assert len(path) == 40
    for place, view in enumerate(views):
        np.testing.assert_allclose(path.poses[10 * place], sphere_truth.cameras.poses[view], atol=1e-6)
    assert (path.intrinsics == sphere_truth.cameras.intrinsics[0].float()).all()
    rotations = path.poses[:, :3, :3]
    np.testing.assert_allclose(rotations @ rotations.transpose(1, 2), torch.eye(3).expand(40, 3, 3), atol=1e-5)
    # all views look at the origin from a distance of 3, and so does every frame
    np.testing.assert_allclose(path.centres + 3 * rotations[:, :, 2], 0, atol=1e-5)


def test_the_path_is_smooth_all_the_way_round(sphere_truth):
    centres = path_through_views(sphere_truth.cameras, [0, 2, 5, 6], 400).centres.numpy()
    steps = np.diff(np.concatenate([centres, centres[:2]]), axis=0)
    turns = np.linalg.norm(np.diff(steps, axis=0), axis=1)
    assert turns.max() < 0.05 * np.linalg.norm(steps, axis=1).min() + 0.1 * np.linalg.norm(steps, axis=1).max()


def test_a_full_turn_does_not_jump():
    """Four views around the vertical: the quaternion comes back with the opposite sign."""
    poses = torch.eye(4).repeat(4, 1, 1)
    for view in range(4):
        angle = np.pi / 2 * view
        x, z = np.array([np.cos(angle), np.sin(angle), 0]), np.array([np.sin(angle), -np.cos(angle), 0])
        poses[view, :3, :3] = torch.from_numpy(np.stack([x, np.cross(z, x), z], axis=1))
        poses[view, :3, 3] = torch.from_numpy(-3 * z)
    path = path_through_views(Cameras(torch.eye(3).repeat(4, 1, 1), poses), [0, 1, 2, 3], 80)
    around = torch.cat([path.centres, path.centres[:1]])
    steps = (around[1:] - around[:-1]).norm(dim=1)
    assert steps.max() < 2 * steps.min() and steps.sum() == pytest.approx(6 * np.pi, rel=0.02)


def test_a_path_file_in_another_normalised_frame(sphere_scene, tmp_path):
    other = np.diag([5.0, 5.0, 5.0, 1.0])
    other[:3, 3] = (3, 0, -1)
    to_other = np.linalg.inv(other) @ sphere_scene.scale_mat
    poses = torch.from_numpy(to_other) @ sphere_scene.cameras.poses.double()
    poses[:, :3, :3] *= 2  # to_other scales by a half
    write_camera_file(tmp_path / "path.npz", Cameras(sphere_scene.cameras.intrinsics, poses), other)
    read = path_from_file(tmp_path / "path.npz", sphere_scene)
    torch.testing.assert_close(read.poses, sphere_scene.cameras.poses, atol=1e-5, rtol=0)
    torch.testing.assert_close(read.intrinsics, sphere_scene.cameras.intrinsics, atol=1e-3, rtol=1e-5)


def test_a_smaller_frame_shows_the_same(sphere_truth):
    point = torch.tensor([[0.1, -0.2, 0.3]], dtype=torch.float64)
    cameras = sphere_truth.cameras
    small, size = resized(cameras, (48, 64), 32)
    assert size == (24, 32)
    before, after = (c.project(torch.tensor([1]), point)[0] for c in (cameras, small))
    torch.testing.assert_close(after, (before + 0.5) / 2 - 0.5)


def test_views_by_default_are_training_views(sphere_scene):
    views = default_views(sphere_scene)
    assert len(set(views)) == 4 and not set(views) & set(sphere_scene.heldout_views)


@pytest.mark.parametrize(
    ("views", "frames", "message"),
    [([0], 9, "two or more"), ([0, 1, 1], 9, "twice in a row"), ([0, 1, 0], 9, "twice in a row"),
     ([0, 9], 9, "no view 9"), ([0, 1, 2], 2, "as many frames")],
)  # fmt: skip
def test_impossible_paths(sphere_truth, views, frames, message):
    with pytest.raises(NsrError, match=message):
        path_through_views(sphere_truth.cameras, views, frames)


def test_files_that_are_no_path(sphere_scene, tmp_path):
    np.savez(tmp_path / "empty.npz", other=np.eye(4))
    with pytest.raises(NsrError, match="no world_mat_i"):
        path_from_file(tmp_path / "empty.npz", sphere_scene)
    with pytest.raises(NsrError, match="no such camera file"):
        path_from_file(tmp_path / "none.npz", sphere_scene)
