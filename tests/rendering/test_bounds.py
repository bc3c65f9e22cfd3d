"""Bounds of rays: the sphere in closed form, and the visual hull around it."""

import pytest
import torch

from nsr.rendering.bounds import HullBounds, intersect_sphere
from nsr.scenes.visual_hull import VisualHull


def test_the_spheres_ends_lie_on_it(rays):
    origins, directions = rays(200, aim=0.95)
    bounds = intersect_sphere(origins, directions)
    assert bounds.meets.all() and (bounds.near < bounds.far).all()
    for depth in (bounds.near, bounds.far):
        radius = (origins + depth[:, None] * directions).norm(dim=1)
        torch.testing.assert_close(radius, torch.ones_like(radius))


def test_rays_that_start_inside_begin_at_once():
    origins = torch.tensor([[0.2, 0.1, -0.3], [0.0, 0.0, 0.0]])
    directions = torch.nn.functional.normalize(torch.tensor([[1.0, 2, 3], [0, 0, 1]]), dim=1)
    bounds = intersect_sphere(origins, directions)
    assert bounds.meets.all() and (bounds.near == 0).all()
    torch.testing.assert_close((origins + bounds.far[:, None] * directions).norm(dim=1), torch.ones(2))


def test_rays_that_miss_give_their_closest_point():
    origins = torch.tensor([[0.0, 1.5, -3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])  # one passes by, one looks away
    bounds = intersect_sphere(origins, directions)
    assert not bounds.meets.any()
    assert bounds.near.tolist() == bounds.far.tolist() == [3.0, 0.0]


def test_another_radius_and_no_rays():
    origins, directions = torch.tensor([[0.0, 0.0, -5.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    bounds = intersect_sphere(origins, directions, 2.0)
    assert (bounds.near.item(), bounds.far.item()) == (3.0, 7.0)
    assert len(intersect_sphere(origins[:0], directions[:0]).near) == 0


@pytest.fixture(scope="module")
def sphere_hull(sphere_truth):
    masks = [torch.from_numpy(sphere_truth.render(view)[1]) for view in range(8)]
    return VisualHull.carve(masks, sphere_truth.cameras.to(torch.float32), 96)


def scene_rays(truth):
    views = torch.arange(8).repeat_interleave(300)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(2400, 2, generator=generator, dtype=torch.float64) * torch.tensor([63.0, 47.0])
    origins, directions = truth.cameras.rays(views, pixels)
    return origins.float(), directions.float()


def test_the_hull_bounds_hold_the_surface(sphere_hull, sphere_truth):
    bounds = HullBounds(sphere_hull.grid, margin=0.05)
    origins, directions = scene_rays(sphere_truth)
    inner = intersect_sphere(origins, directions, sphere_truth.radius)
    outer = intersect_sphere(origins, directions)
    found = bounds(origins, directions)
    hit = inner.meets
    assert found.meets[hit].all()
    assert (found.near <= inner.near + 1e-4)[hit].all() and (found.far >= inner.far - 1e-4)[hit].all()
    assert (found.near >= outer.near - 1e-6)[hit].all() and (found.far <= outer.far + 1e-6)[hit].all()
    assert (inner.near - found.near)[hit].median() < 0.15  # they are worth having


def test_rays_that_miss_the_hull_give_a_depth_near_it(sphere_hull, sphere_truth):
    bounds = HullBounds(sphere_hull.grid, margin=0.02)
    origins, directions = scene_rays(sphere_truth)
    found = bounds(origins, directions)
    missed = ~found.meets & intersect_sphere(origins, directions).meets
    assert missed.sum() > 50
    assert torch.equal(found.near[missed], found.far[missed])
    best = -(origins * directions).sum(1)
    closest = (origins + best[:, None] * directions).norm(dim=1)
    at_depth = (origins + found.near[:, None] * directions).norm(dim=1)
    assert (at_depth - closest)[missed].median() < 0.1


def test_the_hulls_value_is_trilinear_and_grown(sphere_hull):
    bounds = HullBounds(sphere_hull.grid, margin=0.05)
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    torch.testing.assert_close(bounds.value(points), sphere_hull.value(points) - 0.05, atol=2e-3, rtol=0)
    assert bounds.value(torch.zeros(1, 3)) < -0.4
