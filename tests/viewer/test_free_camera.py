import math

import numpy as np
import pytest
import torch

from nsr.config.schema import RayTracerConfig
from nsr.rendering.ray_tracing import RayTracer
from nsr.scenes.cameras import Cameras
from nsr.training.run import load_run
from nsr.viewer.free_camera import NOTHING, FreeCamera, free_picture

HALF = math.sqrt(0.5)


def test_it_is_the_camera_of_a_view_without_skew_and_with_its_middle_in_the_middle(sphere_truth):
    pose = sphere_truth.cameras.poses[:1]
    intrinsics = torch.tensor([[[70.0, 0, 31.5], [0, 70.0, 23.5], [0, 0, 1]]], dtype=torch.float64)
    view = Cameras(intrinsics, pose)
    free = FreeCamera.of_view(view, 0, (48, 64))
    assert free.fov == pytest.approx(2 * math.atan(24 / 70)) and free.aspect == pytest.approx(64 / 48)
    again = free.cameras(free.size(64))
    torch.testing.assert_close(again.intrinsics, intrinsics.float())
    torch.testing.assert_close(again.poses, pose.float(), atol=1e-6, rtol=0)


def test_the_longer_side_gets_the_pixels():
    assert FreeCamera((1, 0, 0, 0), (0, 0, 0), 1.0, 2.0).size(100) == (50, 100)
    assert FreeCamera((1, 0, 0, 0), (0, 0, 0), 1.0, 0.5).size(100) == (100, 50)


class Sphere(torch.nn.Module):
    """The renderer of a sphere in one colour."""

    def __init__(self, radius):
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(()))
        self.sdf, self.background, self.radius = self, None, radius
        self.tracer = RayTracer(RayTracerConfig())

    def trace(self, origins, directions, tracer=None):
        from types import SimpleNamespace

        along = (origins * directions).sum(-1)
        inside = along**2 - origins.square().sum(-1) + self.radius**2
        return SimpleNamespace(hit=inside > 0, depth=-along - inside.clamp(min=0).sqrt())

    def geometry(self, x):
        return x.norm(dim=-1) - self.radius, torch.nn.functional.normalize(x, dim=-1), x[:, :0]

    def radiance(self, points, directions, normals, features):
        return torch.full_like(points, 0.2)


def test_depth_is_along_the_axis_and_normals_are_in_the_cameras_frame():
    # looking along x from (-3, 0, 0): a quarter turn about y takes z to x
    camera = FreeCamera((HALF, 0, HALF, 0), (-3.0, 0, 0), 0.6, 1.0)
    colour, depth = free_picture(Sphere(0.5), camera, "colour", 65, 1.0)
    hit = depth < NOTHING
    assert (colour[hit] == 153).all() and (colour[~hit] == 255).all()
    assert depth[32, 32] == pytest.approx(2.5, abs=1e-5)
    # the point that a pixel's depth along the axis stands for lies on the sphere
    focal = 65 / (2 * math.tan(0.3))
    rows, columns = np.nonzero(hit)
    z = depth[hit]
    points = np.stack([(columns - 32) / focal * z, (rows - 32) / focal * z, z - 3], axis=1)
    assert np.abs(np.linalg.norm(points, axis=1) - 0.5).max() < 1e-4
    expected = 0.5 / math.sqrt(9 - 0.25) * focal  # the outline's radius in pixels
    assert math.sqrt(hit.sum() / math.pi) == pytest.approx(expected, rel=0.03)
    normals, _ = free_picture(Sphere(0.5), camera, "normals", 65, 1.0)
    assert normals[32, 32].tolist() == [128, 128, 255]  # towards the camera
    assert normals[32, 32 + 5][0] > 150 and normals[32 - 5, 32][1] > 150  # red right, green up
    shaded, _ = free_picture(Sphere(0.5), camera, "shaded", 65, 1.0)
    assert shaded[28, 28, 0] > shaded[36, 36, 0] + 20  # lit from the upper left
    near, _ = free_picture(Sphere(0.99), camera, "depth", 65, 1.0)
    far, _ = free_picture(Sphere(0.1), camera, "depth", 65, 1.0)
    assert near[32, 32][0] > 200 and near[32, 32][2] < 80  # yellow
    assert far[32, 32].tolist() != near[32, 32].tolist()


def test_a_loaded_run_is_drawn(watched):
    run = load_run(watched.folder)
    camera = FreeCamera.of_view(run.cameras, 0, (48, 64))
    _, depth = free_picture(run.renderer, camera, "colour", 64, 1.0)
    assert depth[24, 32] == pytest.approx(2.5, abs=0.15)  # the sphere of radius 0.5 that the network starts as
    assert depth[0, 0] == NOTHING
