"""Rendered quantities against closed forms, finite differences and independent computations."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from nsr.scenes.synthetic import SHAPES, SyntheticSpec
from nsr.scenes.synthetic.analytic_surface import AnalyticSurface
from nsr.scenes.synthetic.generate import make_renderer, make_surface, scene_cameras
from nsr.scenes.synthetic.mesh_surface import MeshSurface
from nsr.scenes.synthetic.ray_casting import SphereTracer
from nsr.scenes.synthetic.room import Room
from nsr.scenes.synthetic.texture import WaveTexture

SMALL = SyntheticSpec(views=6, height=48, width=64, field_of_view=36.0)


def render(spec, surface=None, view=0):
    surface = surface or make_surface(spec)
    return make_renderer(spec, surface).render(scene_cameras(spec), view, spec.height, spec.width)


def pixel_rays(spec, view):
    """Origins and unit directions of all pixels' central rays, by ``Cameras.rays``, float64, and the directions' z."""
    v, u = torch.meshgrid(torch.arange(spec.height), torch.arange(spec.width), indexing="ij")
    pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).double()
    cameras = scene_cameras(spec)
    origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
    return origins, directions, directions @ cameras.poses[view, :3, 2]


@pytest.fixture(scope="module")
def stone():
    return make_surface(SMALL)


@pytest.mark.parametrize("view", [0, 3])
def test_sphere_has_the_closed_forms_depth_and_normal(view):
    spec = dataclasses.replace(SMALL, shape="sphere")
    rendered = render(spec, view=view)
    origins, directions, z = pixel_rays(spec, view)
    along = (origins * directions).sum(-1)
    discriminant = along**2 - (origins**2).sum(-1) + 0.75**2
    distance = -along - discriminant.clamp(min=0).sqrt()
    depth, normal = rendered.depth.reshape(-1).double(), rendered.normal.reshape(-1, 3).double()

    assert (depth[discriminant < 0] == 0).all()
    inside = discriminant > 0.01  # a grazing ray's depth is ill-conditioned
    assert inside.sum() > 500
    torch.testing.assert_close(depth[inside], (distance * z)[inside], atol=2e-6, rtol=0)
    expected = (origins + distance.unsqueeze(-1) * directions) / 0.75
    torch.testing.assert_close(normal[inside], expected[inside], atol=1e-5, rtol=0)


def test_coverage_is_the_area_of_the_sphere_silhouette():
    spec = dataclasses.replace(SMALL, shape="sphere", layout="ring", elevation=0.0, supersampling=4, height=64)
    rendered = render(spec)
    focal = 32 / math.tan(math.radians(18))
    area = math.pi * (focal * math.tan(math.asin(0.75 / 3))) ** 2
    assert rendered.coverage.sum().item() == pytest.approx(area, rel=2e-3)
    assert ((rendered.coverage >= 0.5).sum().item()) == pytest.approx(area, rel=0.01)


def test_every_hit_is_on_the_zero_set(stone):
    rendered = render(SMALL, stone)
    origins, directions, z = pixel_rays(SMALL, 0)
    depth = rendered.depth.reshape(-1).double()
    hit = depth > 0
    points = (origins + (depth / z).unsqueeze(-1) * directions)[hit]
    value, gradient = stone.shape.field_and_gradient(points)
    error = value.abs() / gradient.norm(dim=1)
    assert error.max() < 2e-6
    # Nothing lies before the hit.
    for fraction in torch.linspace(0.02, 0.98, 40):
        before = origins[hit] + ((depth / z)[hit] - 0.6 * (1 - fraction) - 0.005).unsqueeze(-1) * directions[hit]
        assert (stone.shape.field(before) > -2e-3).all()


def test_normals_are_those_of_finite_differences(stone):
    rendered = render(SMALL, stone)
    origins, directions, z = pixel_rays(SMALL, 0)
    depth = rendered.depth.reshape(-1).double()
    hit = depth > 0
    points = (origins + (depth / z).unsqueeze(-1) * directions)[hit]
    step = 1e-5
    difference = torch.stack(
        [
            stone.shape.field(points + offset) - stone.shape.field(points - offset)
            for offset in step * torch.eye(3, dtype=torch.float64)
        ],
        dim=-1,
    )
    expected = torch.nn.functional.normalize(difference, dim=-1)
    normal = rendered.normal.reshape(-1, 3)[hit].double()
    assert ((normal * expected).sum(-1) > 1 - 1e-6).all()


@pytest.mark.parametrize("room", [False, True])
def test_image_is_albedo_times_shading_plus_highlight_over_the_background(room, stone):
    spec = dataclasses.replace(SMALL, room=room, background=0.3)
    view = render(spec, stone)
    seen = torch.ones_like(view.coverage) if room else view.coverage
    seen = seen.unsqueeze(-1)
    composed = seen * (view.albedo * view.shading + view.specular) + (1 - seen) * 0.3
    torch.testing.assert_close(view.image, composed.clamp(0, 1), atol=1e-5, rtol=0)
    assert view.specular.max() > 0.05
    assert ((view.coverage > 0) & (view.coverage < 1)).any()


def test_shading_is_what_light_and_normal_give():
    spec = dataclasses.replace(SMALL, shape="sphere", texture="flat", shadows=False, supersampling=1, specular=0.0)
    surface = make_surface(spec)
    renderer = make_renderer(spec, surface)
    view = renderer.render(scene_cameras(spec), 0, spec.height, spec.width)
    hit = view.depth > 0
    origins, directions, z = pixel_rays(spec, 0)
    points = (origins + (view.depth.reshape(-1, 1) / z.unsqueeze(-1)) * directions)[hit.reshape(-1)].float()
    normals = points / 0.75
    expected = renderer.light.ambient(normals)
    for position, colour in zip(renderer.light.positions, renderer.light.colours, strict=True):
        ray = position - points
        cosine = (normals * ray).sum(1) / ray.norm(dim=1)
        expected += colour * (cosine.clamp(min=0) * position.norm() ** 2 / ray.norm(dim=1) ** 2).unsqueeze(-1)
    torch.testing.assert_close(view.shading[hit], expected, atol=1e-3, rtol=0)
    assert (view.albedo[hit] == view.albedo[hit][0]).all()


def test_shadows_only_darken_and_fall_where_the_light_is_hidden():
    spec = dataclasses.replace(SMALL, shape="bowl", layout="ring", elevation=60.0, supersampling=1)
    surface = make_surface(spec)
    lit = render(dataclasses.replace(spec, shadows=False), surface)
    shadowed = render(spec, surface)
    change = (lit.shading - shadowed.shading).amax(-1)
    assert change.min() >= 0
    assert 0.05 < (change[lit.depth > 0] > 0.01).double().mean() < 0.9


def test_a_convex_body_casts_no_shadow_on_itself():
    spec = dataclasses.replace(SMALL, shape="sphere")
    surface = make_surface(spec)
    with_shadows, without = render(spec, surface), render(dataclasses.replace(spec, shadows=False), surface)
    torch.testing.assert_close(with_shadows.shading, without.shading, atol=0.02, rtol=0)


def test_sphere_tracing_agrees_with_the_traced_mesh(stone):
    pytest.importorskip("embreex", reason="embreex is not installed: there is only sphere tracing")
    origins, directions, _ = pixel_rays(SMALL, 2)
    origins, directions = origins.float(), directions.float()
    by_mesh = stone.first_hit(origins, directions)
    traced = AnalyticSurface(SHAPES["carved_stone"], None, 1e-3, SphereTracer(SHAPES["carved_stone"]))
    by_field = traced.first_hit(origins, directions)
    both = np.intersect1d(by_mesh.rays, by_field.rays)
    assert len(both) > 0.995 * max(len(by_mesh.rays), len(by_field.rays))
    first = by_mesh.distances[torch.isin(by_mesh.rays, torch.from_numpy(both))]
    second = by_field.distances[torch.isin(by_field.rays, torch.from_numpy(both))]
    difference = (first - second).abs()
    # Few rays pass a crest that the mesh's facets cut off.
    assert (difference > 2e-6).double().mean() < 0.005
    towards_light = torch.nn.functional.normalize(torch.tensor([[2.0, 1.0, 3.0]]), dim=1).expand_as(by_mesh.points)
    start = by_mesh.points + 1e-3 * by_mesh.normals
    agree = stone.is_blocked(start, towards_light) == SphereTracer(stone.shape).is_blocked(start, towards_light)
    assert agree.double().mean() > 0.99


def test_a_mesh_renders_as_the_analytic_shape_that_it_samples(tmp_path):
    pytest.importorskip("embreex", reason="embreex is not installed: meshes cannot be rendered")
    import trimesh

    spec = dataclasses.replace(SMALL, shape="torus", relief=False)
    analytic = make_surface(spec)
    texture = WaveTexture(spec.texture_wavelength, spec.texture_contrast, spec.seed)
    path = tmp_path / "torus.ply"
    # A mesh is scaled to radius 0.8; a camera that much farther off sees the same picture.
    scale = 0.8 / np.linalg.norm(analytic.vertices, axis=1).max()
    trimesh.Trimesh(analytic.vertices, analytic.faces, process=False).export(path)
    mesh = MeshSurface(path, "z", False, texture)
    np.testing.assert_allclose(np.sort(mesh.vertices[:, 0]), np.sort(analytic.vertices[:, 0] * scale), atol=2e-4)
    moved = dataclasses.replace(spec, distance=spec.distance * scale)
    of_mesh, exact = render(moved, mesh), render(spec, analytic)
    assert ((of_mesh.coverage - exact.coverage).abs() > 0.3).double().mean() < 0.002
    inside = (of_mesh.coverage == 1) & (exact.coverage == 1)
    assert (of_mesh.depth / scale - exact.depth)[inside].abs().median() < 2e-4
    assert (of_mesh.normal * exact.normal).sum(-1)[inside].quantile(0.02) > 0.999
    assert ((of_mesh.depth > 0) != (exact.depth > 0)).double().mean() < 0.002


def test_room_is_the_inside_of_its_cube():
    room = Room(6.0, WaveTexture(0.1, 0.5, 0))
    directions = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    directions[0] = torch.tensor([0.0, 0.0, -1.0])
    origins = torch.rand(500, 3, generator=torch.Generator().manual_seed(1)) * 6 - 3
    hits = room.first_hit(origins, directions)
    torch.testing.assert_close(hits.points.abs().amax(1), torch.full((500,), 6.0), atol=1e-5, rtol=0)
    assert ((hits.normals * directions).sum(1) < 0).all()
    torch.testing.assert_close((hits.points * hits.normals).sum(1), torch.full((500,), -6.0), atol=1e-5, rtol=0)
    assert (hits.distances > 0).all()
