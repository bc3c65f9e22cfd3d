"""The volume renderer on fields that are exactly known."""

import pytest
import torch

from nsr.config.schema import RayTracerConfig, VolumeConfig
from nsr.rendering.bounds import intersect_sphere
from nsr.rendering.ray_tracing import RayTracer
from nsr.rendering.surface import SurfaceRenderer
from nsr.rendering.volume import VolumeRenderer

RADIUS = 0.6


class Sphere(torch.nn.Module):
    """An exact SDF field with a radius that can be trained, and x as its feature."""

    def __init__(self, radius=RADIUS):
        super().__init__()
        self.radius = torch.nn.Parameter(torch.tensor(radius, dtype=torch.float64))

    def value(self, x):
        return x.norm(dim=1) - self.radius

    def geometry(self, x):
        return self.value(x), x / x.norm(dim=1, keepdim=True), x

    def set_progress(self, progress):
        self.progress = progress


class Constant(torch.nn.Module):
    """One colour everywhere."""

    colour = torch.tensor([0.2, -0.5, 0.9], dtype=torch.float64)

    def forward(self, points, directions, normals, features):
        return self.colour.expand(len(points), 3)

    def set_progress(self, progress):
        pass


class Wall(torch.nn.Module):
    """A background of one colour."""

    samples = 4
    colour = torch.tensor([-0.8, 0.1, 0.3], dtype=torch.float64)

    def forward(self, points, directions):
        return torch.ones(len(points), dtype=torch.float64), self.colour.expand(len(points), 3)


def volume(background=None, **options):
    surface = SurfaceRenderer(Sphere(), Constant(), RayTracer(RayTracerConfig()), background)
    return VolumeRenderer(surface, VolumeConfig(**{"sharpness": 400.0, "samples": 16, **options})).double()


def render(renderer, origins, directions, mask):
    free = torch.tensor([[0.1, 0.9, 0.0], [0.0, 0.0, 0.3]], dtype=torch.float64)
    return renderer(origins, directions, mask, free)


def through_centre(origins, directions):
    closest = (origins - (origins * directions).sum(1, keepdim=True) * directions).norm(dim=1)
    return closest < RADIUS - 0.05, closest > RADIUS + 0.05


@pytest.mark.parametrize("density", ["neus", "laplace"])
def test_a_sphere_of_one_colour_is_seen_in_that_colour(rays, density):
    torch.manual_seed(0)
    origins, directions = rays(300)
    crossing, missing = through_centre(origins, directions)
    seen = render(volume(density=density), origins, directions, crossing)
    torch.testing.assert_close(seen.opacity[crossing], torch.ones_like(seen.opacity[crossing]), atol=2e-3, rtol=0)
    assert (seen.opacity[missing] < 1e-3).all() and missing.any()
    assert torch.equal(seen.surface, crossing.nonzero().squeeze(1)) and seen.hit[crossing].all()
    torch.testing.assert_close(seen.rgb, Constant.colour.expand(len(seen.rgb), 3), atol=1e-2, rtol=0)
    assert seen.free_sdf.tolist() == pytest.approx([0.82**0.5 - RADIUS, 0.3 - RADIUS])
    torch.testing.assert_close(seen.gradients.norm(dim=1), torch.ones(len(seen.gradients), dtype=torch.float64))


def test_samples_lie_in_the_band(rays):
    torch.manual_seed(1)
    origins, directions = rays(200)
    crossing, _ = through_centre(origins, directions)
    renderer = volume()
    chosen, depths, _ = renderer._band(origins[crossing], directions[crossing], None)
    assert len(chosen) == int(crossing.sum()) and depths.shape[1] == 16
    bounds = intersect_sphere(origins[crossing], directions[crossing])
    longest = ((bounds.far - bounds.near) / renderer.coarse_sections).amax()
    points = origins[crossing][chosen, None] + depths[..., None] * directions[crossing][chosen, None]
    distance = (points.norm(dim=2) - RADIUS).abs()
    assert (distance[:, 1:-1].median(dim=1).values < longest).all()


def test_rays_of_the_mask_are_sampled_even_where_there_is_nothing_yet():
    origins = torch.tensor([[0.0, 0.9, -2.0], [0.0, 0.9, -2.0]], dtype=torch.float64)
    directions = torch.tensor([[0.0, 0.0, 1.0]] * 2, dtype=torch.float64)
    seen = render(volume(sharpness=30.0), origins, directions, torch.tensor([True, False]))
    assert seen.surface.tolist() == [0]
    seen.opacity[0].backward()
    assert 0 < seen.opacity[0].item() < 1e-3


def test_no_rays_at_all():
    nothing = torch.zeros(0, 3, dtype=torch.float64)
    seen = render(volume(), nothing, nothing, torch.zeros(0, dtype=torch.bool))
    assert len(seen.opacity) == len(seen.rgb) == 0 and len(seen.free_sdf) == 2


def test_the_background_shows_where_the_object_lets_light_through(rays):
    torch.manual_seed(2)
    origins, directions = rays(300)
    crossing, missing = through_centre(origins, directions)
    seen = render(volume(Wall()), origins, directions, torch.ones(300, dtype=torch.bool))
    assert len(seen.rgb) == 300
    torch.testing.assert_close(seen.rgb[missing], Wall.colour.expand(int(missing.sum()), 3), atol=3e-3, rtol=0)
    torch.testing.assert_close(seen.rgb[crossing], Constant.colour.expand(int(crossing.sum()), 3), atol=5e-3, rtol=0)


def test_opaque_rays_know_what_they_cover(rays):
    torch.manual_seed(2)
    origins, directions = rays(300)
    crossing, missing = through_centre(origins, directions)
    renderer = volume(Wall(), carving=1.0)
    covered = render(renderer, origins, directions, torch.ones(300, dtype=torch.bool)).covered
    opaque = torch.zeros(300, dtype=torch.bool).index_fill(0, covered.rays, True)
    assert opaque[crossing].all() and not opaque[missing].any()
    torch.testing.assert_close(covered.rgb, Wall.colour.expand(len(covered.rays), 3))
    front = crossing[covered.rays]
    assert (covered.points[front].norm(dim=1) - RADIUS).abs().max() < 0.02 and covered.sdf[front].abs().max() < 0.02
    toward = (covered.points * directions[covered.rays]).sum(1)
    assert (toward[front] < 0).all()  # the near side
    (slope,) = torch.autograd.grad(covered.sdf.sum(), renderer.surface.sdf.radius)
    assert slope.item() == pytest.approx(-len(covered.rays))


def test_nobody_looks_behind_unasked(rays):
    origins, directions = rays(20)
    everything = torch.ones(20, dtype=torch.bool)
    assert render(volume(Wall()), origins, directions, everything).covered is None
    assert render(volume(carving=1.0), origins, directions, everything).covered is None


def test_gradients_agree_with_finite_differences(rays, monkeypatch):
    """In the radius, the sharpness and the camera, with the samples held where they are."""
    origins, directions = rays(40)
    renderer = volume(sharpness=25.0)
    band = renderer._band(origins, directions, torch.ones(40, dtype=torch.bool))
    monkeypatch.setattr(renderer, "_band", lambda *_: band)
    mask = torch.ones(40, dtype=torch.bool)
    weights = torch.rand(40, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def loss(shift):
        seen = render(renderer, origins + shift, directions, mask)
        return (weights * seen.opacity).sum() + seen.rgb.square().sum() + seen.free_sdf.sum()

    shift = torch.tensor([0.01, -0.02, 0.03], dtype=torch.float64, requires_grad=True)
    parameters = (renderer.surface.sdf.radius, renderer.density.learned, shift)
    gradients = torch.autograd.grad(loss(shift), parameters)
    step = 1e-6
    for parameter, gradient in zip(parameters, gradients):
        for index in range(parameter.numel()):
            with torch.no_grad():
                ends = []
                for sign in (1, -1):
                    parameter.view(-1)[index] += sign * step
                    ends.append(float(loss(shift)))
                    parameter.view(-1)[index] -= sign * step
            assert float(gradient.view(-1)[index]) == pytest.approx(
                (ends[0] - ends[1]) / (2 * step), rel=2e-4, abs=1e-5
            )


def test_colour_pulls_the_surface_to_where_it_belongs():
    """A sphere too small, in front of a wall: rays beside it that should see its colour make it grow."""
    torch.manual_seed(0)
    renderer = volume(Wall(), sharpness=15.0)
    origins = torch.tensor([[0.0, y, -2.0] for y in (0.62, 0.64, 0.66)], dtype=torch.float64)
    directions = torch.tensor([[0.0, 0.0, 1.0]] * 3, dtype=torch.float64)
    seen = render(renderer, origins, directions, torch.ones(3, dtype=torch.bool))
    (seen.rgb - Constant.colour).abs().sum().backward()
    assert renderer.surface.sdf.radius.grad < 0  # downhill is a larger radius
