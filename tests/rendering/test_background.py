"""The background behind rays: places, compositing, and whole views."""

import pytest
import torch

from nsr.config.schema import RayTracerConfig
from nsr.rendering.background import composite_background, inverse_radius_points
from nsr.rendering.bounds import intersect_sphere
from nsr.rendering.image import render_view
from nsr.rendering.ray_tracing import RayTracer
from nsr.rendering.surface import SurfaceRenderer


class Shells:
    """Opaque where the direction of a point has a positive x; its colour tells the point's inverse radius."""

    samples = 8

    def __init__(self, density=1e3):
        self.density = density

    def __call__(self, points, directions):
        inverse = 1 / points.norm(dim=1)
        density = torch.where(points[:, 0] > 0, self.density, 0.0).to(points)
        return density, inverse.unsqueeze(1).expand(-1, 3)


def test_points_lie_on_their_rays_at_their_radii(rays):
    origins, directions = rays(100, aim=1.5)
    start = intersect_sphere(origins, directions).far
    inverse = torch.tensor([1.0, 0.5, 0.01], dtype=torch.float64).expand(100, -1)
    points = inverse_radius_points(origins, directions, start, inverse)
    at_start = (origins + start[:, None] * directions).norm(dim=1, keepdim=True)
    torch.testing.assert_close(points.norm(dim=2), at_start / inverse)
    along = points - origins[:, None]
    torch.testing.assert_close(torch.cross(along, directions[:, None].expand_as(along), dim=2).norm(dim=2),
                               torch.zeros(100, 3, dtype=torch.float64), atol=1e-6, rtol=0)
    assert (along * directions[:, None]).sum(2).diff(dim=1).min() > 0


def test_the_nearest_opaque_part_is_seen_and_the_last_is_opaque():
    origins = torch.zeros(2, 3, dtype=torch.float64)
    directions = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0]], dtype=torch.float64)
    light = composite_background(
        Shells(), origins, directions, torch.ones(2).double(), torch.ones(2).double(), jitter=False
    )
    # Samples in the middle of eighths of the inverse radius: the first is at 15/16, the last at 1/16.
    torch.testing.assert_close(light[:, 0], torch.tensor([1 + 15 / 16, 1 + 1 / 16], dtype=torch.float64))


def test_sections_let_through_what_their_density_says():
    origins, direction = torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    light = composite_background(Shells(0.7), origins, direction, one, one, jitter=False)
    left, expected = 1.0, 0.0
    for section in range(8):
        inverse = 1 - (section + 0.5) / 8
        below = 1 - (section + 1.5) / 8 if section < 7 else 0.0
        opacity = 1 - torch.exp(torch.tensor(-0.7 * 8 * (inverse - below))).item() if section < 7 else 1.0
        expected += left * opacity * (inverse + 1)
        left *= 1 - opacity
    assert light[0, 0].item() == pytest.approx(expected, rel=1e-6)


def test_light_is_in_proportion_to_what_the_object_lets_through():
    torch.manual_seed(0)
    origins = torch.zeros(3, 3, dtype=torch.float64)
    directions = torch.tensor([[1.0, 0, 0]] * 3, dtype=torch.float64)
    passed = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64, requires_grad=True)
    light = composite_background(Shells(), origins, directions, torch.ones(3).double(), passed, jitter=False)
    torch.testing.assert_close(light[1], light[0] / 4)
    assert torch.equal(light[2], torch.zeros(3).double())
    light.sum().backward()
    assert passed.grad[0] == pytest.approx(3 * (1 + 15 / 16))


class Sphere(torch.nn.Module):
    """Of radius 0.6."""

    def value(self, x):
        return x.norm(dim=1) - 0.6

    def geometry(self, x):
        return self.value(x), x, x


def test_a_view_shows_the_background_where_the_surface_is_not(sphere_truth):
    def black(points, directions, normals, features):
        return torch.full_like(points, -1.0)

    surface = SurfaceRenderer(Sphere(), black, RayTracer(RayTracerConfig()), Shells(0.0))
    view = render_view(surface, sphere_truth.cameras.to("cpu", torch.float32), 0, *sphere_truth.size)
    _, mask = sphere_truth.render(0)
    assert torch.equal(view.hit, torch.from_numpy(mask))
    assert (view.rgb[view.hit] == 0).all()
    # Nothing is opaque before the last sample, at 1/16 of the start's inverse radius.
    assert ((view.rgb[~view.hit] > 0.5) & (view.rgb[~view.hit] <= 0.5 + 1 / 32 + 1e-6)).all()


@pytest.mark.parametrize("colour", [-1.2, 1.2])
def test_colours_of_a_view_are_cut_at_black_and_white(sphere_truth, colour):
    def pure(points, *_):
        return torch.full((len(points), 3), colour)

    class Pure(Shells):
        def __call__(self, points, directions):
            return super().__call__(points, directions)[0], pure(points)

    surface = SurfaceRenderer(Sphere(), pure, RayTracer(RayTracerConfig()), Pure(0.0))
    view = render_view(surface, sphere_truth.cameras.to("cpu", torch.float32), 0, *sphere_truth.size, edge_rays=2)
    assert view.hit.any() and not view.hit.all()
    wanted = float(colour > 0)
    torch.testing.assert_close(view.rgb, torch.full_like(view.rgb, wanted))
    torch.testing.assert_close(view.surface_rgb[view.hit], torch.full_like(view.surface_rgb[view.hit], wanted))
