"""Trainable poses."""

import torch

from nsr.training.camera_optimisation import TrainableCameras, rotation_from_quaternion


def test_they_start_where_the_given_cameras_are(sphere_truth):
    given = sphere_truth.cameras.to(torch.float32)
    cameras = TrainableCameras(given)
    torch.testing.assert_close(cameras.current().poses, given.poses, atol=1e-6, rtol=0)
    views = torch.tensor([3, 0, 3, 7])
    pixels = torch.tensor([[0.0, 0.0], [63, 47], [10.5, 20], [31, 24]])
    for own, expected in zip(cameras.rays(views, pixels), given.rays(views, pixels)):
        torch.testing.assert_close(own, expected, atol=1e-5, rtol=0)


def test_half_turns_survive(sphere_truth):
    """Rotations of trace -1, where formulas for quaternions divide by zero."""
    given = sphere_truth.cameras.select([0, 1, 2]).to(torch.float32)
    given.poses[:, :3, :3] = torch.stack([torch.diag(torch.tensor(d)) for d in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])])
    torch.testing.assert_close(TrainableCameras(given).current().poses, given.poses, atol=1e-6, rtol=0)


def test_any_quaternion_gives_a_rotation():
    quaternion = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotation = rotation_from_quaternion(quaternion)
    identity = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), identity)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(50, dtype=torch.float64))
    quarter = rotation_from_quaternion(torch.tensor([[1.0, 0, 0, 1.0]]))[0]  # a quarter turn about z
    torch.testing.assert_close(quarter @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


def test_only_the_batchs_views_get_gradients_and_the_intrinsics_never(sphere_truth):
    cameras = TrainableCameras(sphere_truth.cameras.to(torch.float32))
    origins, directions = cameras.rays(torch.tensor([2, 5, 2]), torch.tensor([[1.0, 2.0], [30, 30], [60, 9]]))
    (origins.sum() + directions.square().mul(torch.tensor([1.0, 2, 3])).sum()).backward()
    grad = cameras.vectors.weight.grad
    assert grad.is_sparse
    touched = grad.to_dense().abs().sum(1) > 0
    assert touched.nonzero().squeeze(1).tolist() == [2, 5]
    assert [name for name, _ in cameras.named_parameters()] == ["vectors.weight"]
