"""Trainable poses."""

import math

import pytest
import torch

from nsr.errors import ConfigError
from nsr.scenes.cameras import Cameras
from nsr.training.camera_optimisation import (
    PARAMETERS,
    TrainableCameras,
    moved_poses,
    rotation_from_quaternion,
    whitening,
)


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
    given.poses[:, :3, :3] = torch.stack(
        [torch.diag(torch.tensor(d)) for d in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])]
    )
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


def test_se3_starts_at_the_given_cameras_and_moves_only_the_batchs(sphere_truth):
    given = sphere_truth.cameras.to(torch.float32)
    cameras = TrainableCameras(given, "se3")
    torch.testing.assert_close(cameras.current().poses, given.poses, atol=1e-6, rtol=0)
    origins, directions = cameras.rays(torch.tensor([2, 5, 2]), torch.tensor([[1.0, 2.0], [30, 30], [60, 9]]))
    (origins.sum() + directions.square().mul(torch.tensor([1.0, 2, 3])).sum()).backward()
    grad = cameras.motions.weight.grad
    assert grad.is_sparse
    assert (grad.to_dense().abs().sum(1) > 0).nonzero().squeeze(1).tolist() == [2, 5]
    with torch.no_grad():
        cameras.motions.weight.copy_(0.3 * torch.randn(len(given), 6))
    rotations = cameras.current().poses[:, :3, :3]
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).expand(len(given), 3, 3))


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_gradients_of_rays(sphere_truth, parameters):
    """Finite differences, in poses and in the focal length."""
    cameras = TrainableCameras(sphere_truth.cameras.to(torch.float64), parameters, focal_length=True).double()
    table = cameras.vectors if parameters == "quaternion" else cameras.motions
    # gradcheck wants no sparse gradients
    dense = torch.nn.Embedding.from_pretrained(table.weight.detach() + 0.01, freeze=False)
    setattr(cameras, "vectors" if parameters == "quaternion" else "motions", dense)
    views, pixels = torch.tensor([1, 0, 1]), torch.tensor([[3.0, 4], [20, 9], [50, 40]], dtype=torch.float64)

    def rays(rows, log_focal):
        replaced = {name: value for name, value in cameras.named_parameters()}
        replaced[next(name for name in replaced if name != "log_focal_factor")] = rows
        replaced["log_focal_factor"] = log_focal
        named = {f"cameras.{name}": value for name, value in replaced.items()}
        return torch.func.functional_call(_Rays(cameras), named, (views, pixels))

    inputs = (dense.weight.detach().requires_grad_(), torch.tensor(0.1, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(rays, inputs)


class _Rays(torch.nn.Module):
    def __init__(self, cameras):
        super().__init__()
        self.cameras = cameras

    def forward(self, views, pixels):
        return self.cameras.rays(views, pixels)


def test_whitened_motions_move_pixels_alike(sphere_truth):
    """Any unit motion moves points of the sphere by about as much as any other; raw twists differ by far more."""
    given = sphere_truth.cameras.to(torch.float64)
    matrices = whitening(given)
    generator = torch.Generator().manual_seed(3)
    points = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    points = 0.8 * points / points.norm(dim=1, keepdim=True)
    view = torch.zeros(len(points), dtype=torch.int64)
    before = given.project(view, points)[0]

    def spread(matrix):
        step = 1e-5 * torch.eye(6, dtype=torch.float64)
        moves = []
        for motion in step:
            poses = moved_poses(motion[None], matrix[None], given.poses[:1])
            after = Cameras(given.intrinsics[:1], poses).project(view, points)[0]
            moves.append((after - before).view(-1) / given.intrinsics[0, 0, 0] / 1e-5)
        singular = torch.linalg.svdvals(torch.stack(moves)) / len(points) ** 0.5
        return singular

    whitened, raw = spread(matrices[0]), spread(torch.eye(6, dtype=torch.float64))
    assert 0.1 < whitened.min() and whitened.max() < 1.5
    assert raw.max() / raw.min() > 2 * whitened.max() / whitened.min()


def test_the_focal_length_scales_all_views_and_leaves_the_principal_point(sphere_truth):
    given = sphere_truth.cameras.to(torch.float32)
    cameras = TrainableCameras(given, "se3", focal_length=True)
    assert torch.equal(cameras.current().intrinsics, given.intrinsics)
    with torch.no_grad():
        cameras.log_focal_factor.fill_(math.log(1.25))
    scaled = cameras.current().intrinsics
    torch.testing.assert_close(scaled[:, :2, :2], 1.25 * given.intrinsics[:, :2, :2])
    assert torch.equal(scaled[:, :, 2], given.intrinsics[:, :, 2])
    assert len(cameras.optimisers(1e-3)) == 2 and len(TrainableCameras(given).optimisers(1e-3)) == 1


def test_unknown_parameters_are_named(sphere_truth):
    with pytest.raises(ConfigError, match="train.camera_parameters is 'euler'; known are quaternion, se3"):
        TrainableCameras(sphere_truth.cameras, "euler")
