"""Patches warped by a plane, against points of the plane projected one by one."""

import math

import pytest
import torch

from nsr.ops.image_patches_torch import normalised_cross_correlation, patch_offsets, warp_patches
from nsr.rendering.patch_warp import plane_homographies
from nsr.scenes.cameras import Cameras
from nsr.training.camera_optimisation import rotation_from_quaternion

COUNT = 12


@pytest.fixture
def setting(rays):
    """Reference and source cameras, pixels, and points on their rays with slanted normals; float64."""
    generator = torch.Generator().manual_seed(3)
    rand = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    cameras = []
    for _ in range(2):
        turn = rotation_from_quaternion(
            torch.tensor([1.0, 0, 0, 0], dtype=torch.float64) + 0.2 * (rand(COUNT, 4) - 0.5)
        )
        poses = torch.eye(4, dtype=torch.float64).repeat(COUNT, 1, 1)
        poses[:, :3, :3] = turn
        poses[:, :3, 3] = torch.tensor([0, 0, -3.0], dtype=torch.float64) + 0.8 * (rand(COUNT, 3) - 0.5)
        intrinsics = torch.zeros(COUNT, 3, 3, dtype=torch.float64)
        intrinsics[:, 0, 0], intrinsics[:, 1, 1] = 400 + 50 * rand(COUNT), 390 + 50 * rand(COUNT)
        intrinsics[:, 2, 2] = 1
        intrinsics[:, 0, 1], intrinsics[:, 0, 2], intrinsics[:, 1, 2] = 2 * rand(COUNT), 160, 120
        cameras.append(Cameras(intrinsics, poses))
    pixels = 60 + 100 * rand(COUNT, 2)
    origins, directions = cameras[0].rays(torch.arange(COUNT), pixels)
    points = origins + (2.6 + 0.6 * rand(COUNT, 1)) * directions
    normals = torch.nn.functional.normalize(-directions + 0.8 * (rand(COUNT, 3) - 0.5), dim=1)
    return (*cameras, pixels, points, normals)


def warp_by_the_plane(reference, source, pixels, points, normals, offsets):
    """Where patches land: reference and source are cameras of one list, as a scene's are."""
    both = [torch.cat(pair) for pair in ((reference.intrinsics, source.intrinsics), (reference.poses, source.poses))]
    first = torch.arange(COUNT)
    homographies = plane_homographies(Cameras(*both), first, COUNT + first, points, normals)
    return warp_patches(homographies, pixels, offsets)


def project_the_plane(reference, source, pixels, points, normals, offsets):
    """Where each ray of the patch meets the plane, projected into the source."""
    result = []
    for patch in range(COUNT):
        views = torch.full((len(offsets),), patch)
        origins, directions = reference.rays(views, pixels[patch] + offsets)
        depth = ((points[patch] - origins) @ normals[patch]) / (directions @ normals[patch])
        result.append(source.project(views, origins + depth[:, None] * directions)[0])
    return torch.stack(result)


def test_warped_pixels_are_projected_points_of_the_plane(setting):
    reference, source, pixels, points, normals = setting
    offsets = patch_offsets(5, 3.0).double()
    warped, in_front = warp_by_the_plane(*setting[:4], 2.5 * normals, offsets)
    assert in_front.all()
    torch.testing.assert_close(warped, project_the_plane(*setting, offsets), atol=1e-8, rtol=0)
    centre, _ = source.project(torch.arange(COUNT), points)
    torch.testing.assert_close(warped[:, 12], centre, atol=1e-8, rtol=0)


def test_single_precision_is_good_to_a_hundredth_of_a_pixel(setting):
    reference, source, *rest = setting
    offsets = patch_offsets(5, 3.0)
    cameras = reference.to(torch.float32), source.to(torch.float32)
    single, _ = warp_by_the_plane(*cameras, *(t.float() for t in rest), offsets)
    double, _ = warp_by_the_plane(*setting, offsets.double())
    assert (single - double).abs().max() < 0.01


def test_it_is_differentiable_in_point_normal_and_poses(setting):
    reference, source, pixels, points, normals = setting
    offsets = patch_offsets(3, 4.0).double()

    def warp(points, normals, reference_poses, source_poses):
        cameras = Cameras(reference.intrinsics, reference_poses), Cameras(source.intrinsics, source_poses)
        return warp_by_the_plane(*cameras, pixels, points, normals, offsets)[0]

    inputs = [t.clone().requires_grad_() for t in (points, normals, reference.poses, source.poses)]
    assert torch.autograd.gradcheck(warp, inputs)


def test_planes_seen_from_behind_or_behind_the_source_are_not_in_front(setting):
    reference, source, pixels, points, normals = setting
    offsets = patch_offsets(3, 1.0).double()
    assert not warp_by_the_plane(reference, source, pixels, points, -normals, offsets)[1].any()
    turned = source.poses.clone()
    turned[:, :3, :3] = turned[:, :3, :3] @ torch.diag(torch.tensor([1.0, -1, -1], dtype=torch.float64))
    away = Cameras(source.intrinsics, turned)
    warped, in_front = warp_by_the_plane(reference, away, pixels, points, normals, offsets)
    assert not in_front.any() and warped.isfinite().all()


def test_offsets_are_a_centred_square():
    offsets = patch_offsets(3, 2.0)
    assert offsets.tolist() == [[u, v] for v in (-2, 0, 2) for u in (-2, 0, 2)]
    torch.testing.assert_close(patch_offsets(4, 1.0).sum(0), torch.zeros(2))


def test_correlation_ignores_brightness_and_contrast_and_tells_patterns_apart():
    generator = torch.Generator().manual_seed(0)
    patch = torch.rand(6, 49, 3, generator=generator, dtype=torch.float64)
    other = torch.rand(6, 49, 3, generator=generator, dtype=torch.float64)
    brightness = torch.tensor([0.1, -0.4, 2.0], dtype=torch.float64)
    one = torch.ones(6, dtype=torch.float64)
    torch.testing.assert_close(normalised_cross_correlation(patch, 3 * patch + brightness), one)
    torch.testing.assert_close(normalised_cross_correlation(patch, -patch), -one)
    assert normalised_cross_correlation(patch, other).abs().max() < 0.4


def test_correlation_of_one_channel_is_pearsons():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 1, 30, 1, generator=generator, dtype=torch.float64)
    expected = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
    torch.testing.assert_close(normalised_cross_correlation(first, second)[0], expected)


def test_even_patches_correlate_with_nothing_and_have_a_finite_gradient():
    even = torch.full((1, 9, 1), 5.0, dtype=torch.float64, requires_grad=True)
    correlation = normalised_cross_correlation(torch.rand(1, 9, 1, dtype=torch.float64), even)
    correlation.sum().backward()
    assert correlation.item() == 0 and math.isfinite(even.grad.abs().max())


def test_a_textured_plane_correlates_at_its_depth_and_slant_alone(setting):
    """Photographs of a plane with a pattern, taken analytically: the pattern's value where each pixel's ray ends."""
    reference, source, pixels, points, normals = setting
    offsets = patch_offsets(7, 2.0).double()

    def seen(cameras, at):
        values = []
        for patch in range(COUNT):
            origins, directions = cameras.rays(torch.full((at.shape[1],), patch), at[patch])
            depth = ((points[patch] - origins) @ normals[patch]) / (directions @ normals[patch])
            values.append(torch.sin(60 * (origins + depth[:, None] * directions)).sum(1, keepdim=True))
        return torch.stack(values)

    def correlation(points, normals):
        first = seen(reference, pixels[:, None] + offsets)
        warped, _ = warp_by_the_plane(reference, source, pixels, points, normals, offsets)
        return normalised_cross_correlation(first, seen(source, warped))

    exact = correlation(points, normals)
    torch.testing.assert_close(exact, torch.ones_like(exact))
    away = torch.nn.functional.normalize(points - reference.centres, dim=1)
    moved = correlation(points + 0.05 * away, normals)
    assert (moved < 0.999).all() and moved.median() < 0.98
    tilted = torch.nn.functional.normalize(normals + torch.tensor([0.5, -0.3, 0], dtype=torch.float64), dim=1)
    assert (correlation(points, tilted) < 0.99995).all()
