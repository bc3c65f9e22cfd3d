"""Rough cameras."""

from __future__ import annotations

import numpy as np
import torch

from nsr.scenes.idr_folder import load_scene
from nsr.scenes.perturb import perturb_cameras, write_perturbed_cameras


def test_every_camera_turns_and_moves_by_the_amount_asked(sphere_truth):
    exact = sphere_truth.cameras
    rough = perturb_cameras(exact, degrees=3.0, fraction_of_distance=0.02, seed=5)
    turn = rough.poses[:, :3, :3] @ exact.poses[:, :3, :3].transpose(1, 2)
    trace = turn.diagonal(dim1=1, dim2=2).sum(-1)
    torch.testing.assert_close(torch.rad2deg(torch.acos((trace - 1) / 2)), torch.full((8,), 3.0, dtype=torch.float64))
    moved = (rough.centres - exact.centres).norm(dim=-1)
    torch.testing.assert_close(moved, 0.02 * exact.centres.norm(dim=-1))
    assert torch.equal(rough.intrinsics, exact.intrinsics)
    directions = (rough.centres - exact.centres) / moved.unsqueeze(-1)
    assert (directions[0] - directions[1:]).norm(dim=-1).min() > 0.05  # each its own way


def test_seeds_decide_and_zero_changes_nothing(sphere_truth):
    exact = sphere_truth.cameras
    assert torch.equal(perturb_cameras(exact, 2, 0.01, 1).poses, perturb_cameras(exact, 2, 0.01, 1).poses)
    assert not torch.equal(perturb_cameras(exact, 2, 0.01, 1).poses, perturb_cameras(exact, 2, 0.01, 2).poses)
    torch.testing.assert_close(perturb_cameras(exact, 0, 0, 1).poses, exact.poses)


def test_a_scene_reads_the_rough_cameras_beside_the_exact_ones(sphere_scene_folder, sphere_truth):
    path = write_perturbed_cameras(sphere_scene_folder, degrees=3.0, fraction_of_distance=0.02, seed=5)
    assert path.name == "cameras_linear_init.npz"
    expected = perturb_cameras(sphere_truth.cameras, 3.0, 0.02, 5)
    rough = load_scene(sphere_scene_folder, cam_file="cameras_linear_init.npz")
    torch.testing.assert_close(rough.cameras.poses.double(), expected.poses, atol=1e-5, rtol=0)
    torch.testing.assert_close(rough.cameras.intrinsics.double(), expected.intrinsics, atol=1e-4, rtol=0)
    exact = load_scene(sphere_scene_folder)
    torch.testing.assert_close(exact.cameras.poses.double(), sphere_truth.cameras.poses, atol=1e-5, rtol=0)
    np.testing.assert_allclose(rough.scale_mat, exact.scale_mat)
