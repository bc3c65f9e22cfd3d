"""Which views a view is compared with."""

import math

import torch

from nsr.scenes.cameras import Cameras
from nsr.training.source_views import choose_source_views


def ring(degrees, distance=3.0):
    """Cameras on a circle about z, looking at the origin, and their sizes."""
    poses = torch.eye(4).repeat(len(degrees), 1, 1)
    for pose, angle in zip(poses, degrees):
        outward = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle)), 0.0])
        down = torch.tensor([0.0, 0.0, -1.0])
        pose[:3, :3] = torch.stack([torch.linalg.cross(down, -outward), down, -outward], dim=1)
        pose[:3, 3] = distance * outward
    intrinsics = torch.tensor([[100.0, 0, 31.5], [0, 100, 31.5], [0, 0, 1]]).repeat(len(degrees), 1, 1)
    return Cameras(intrinsics, poses), [(64, 64)] * len(degrees)


def ball():
    normals = torch.nn.functional.normalize(torch.randn(1500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    return 0.6 * normals, normals


def test_near_views_come_first_and_copies_of_a_view_come_late():
    angles = [0, 0.1, 12, 30, 50, 110, 180]
    assert choose_source_views(*ring(angles), *ball(), 4)[0].tolist() == [2, 3, 4, 1]


def test_views_that_share_nothing_are_no_sources():
    chosen = choose_source_views(*ring([0, 15, 180]), *ball(), 4)
    assert chosen.tolist() == [[1, -1, -1, -1], [0, -1, -1, -1], [-1, -1, -1, -1]]


def test_a_view_that_looks_elsewhere_is_no_source():
    cameras, sizes = ring([0, 10, 20])
    cameras.poses[1, :3, :3] = cameras.poses[1, :3, :3] @ torch.diag(torch.tensor([-1.0, 1, -1]))
    assert choose_source_views(cameras, sizes, *ball(), 2).tolist() == [[2, -1], [-1, -1], [0, -1]]


def test_points_beyond_the_frame_are_not_shared():
    cameras, sizes = ring([0, 10, 14])
    sizes[1] = (64, 8)  # a strip at the left of the picture, where little of the ball is
    assert choose_source_views(cameras, sizes, *ball(), 1)[0].item() == 2


def test_many_points_are_thinned_to_the_same_answer():
    points, normals = ball()
    cameras, sizes = ring([0, 8, 25, 45])
    often = choose_source_views(cameras, sizes, points.repeat(7, 1), normals.repeat(7, 1), 3)
    assert torch.equal(often[0], choose_source_views(cameras, sizes, points, normals, 3)[0])
