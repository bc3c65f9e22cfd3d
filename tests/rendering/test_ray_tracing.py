"""The tracer against fields whose surfaces are known exactly."""

import pytest
import torch

import nsr.rendering.ray_tracing as ray_tracing
from nsr.config.schema import RayTracerConfig
from nsr.rendering.bounds import HullBounds, intersect_sphere
from nsr.rendering.ray_tracing import RayTracer

SETTINGS = [
    dict(two_sided=two_sided, line_step_iters=line_step_iters)
    for two_sided in (True, False)
    for line_step_iters in (3, 0)
]


@pytest.fixture(params=["cpu", "cuda"], autouse=True)
def path(request, monkeypatch):
    """Each test runs through the rays that need it (CPU), and through all of them under masks (CUDA's way)."""
    if request.param == "cuda":
        monkeypatch.setattr(ray_tracing, "select_rays", lambda mask: slice(None))


def check(trace, truth, shape, origins, directions, threshold=5e-5):
    """Depths are right to 1e-4, or to what the threshold leaves where a ray meets the surface at a small angle."""
    expected = ~truth.isnan()
    assert torch.equal(trace.hit[expected], torch.ones_like(trace.hit[expected]))
    points = (origins + truth.nan_to_num()[:, None] * directions)[expected]
    cosine = -(shape.gradient(points) * directions[expected]).sum(1)
    error = (trace.depth - truth)[expected].abs()
    steep = cosine > 0.5
    assert steep.sum() > 50
    assert error[steep].max() < 1e-4
    found = origins + trace.depth[:, None] * directions
    assert shape.value(found[expected]).abs().max() < 2 * threshold


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", ["sphere", "torus", "box"])
def test_depths_are_exact(name, settings, shape, rays):
    shape = shape(name)
    origins, directions = rays()
    bounds = intersect_sphere(origins, directions)
    truth, smallest = shape.first_crossing(origins, directions, bounds.near, bounds.far)
    trace = RayTracer(RayTracerConfig(**settings)).trace(shape.value, origins, directions)
    check(trace, truth, shape, origins, directions)
    # Between dense samples, 3e-4 apart, a ray may clip an edge of the box.
    assert not trace.hit[smallest > 3e-4].any()
    assert torch.equal(trace.inside_bounds, bounds.meets)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_depths_are_exact_in_single_precision(settings, shape, rays):
    shape = shape("sphere")
    origins, directions = rays()
    truth = intersect_sphere(origins, directions, 0.6)
    trace = RayTracer(RayTracerConfig(**settings)).trace(shape.value, origins.float(), directions.float())
    middle = (origins * directions).sum(1)
    steep = truth.meets & ((origins.square().sum(1) - middle**2).clamp_min(0).sqrt() < 0.6 * 0.86)
    assert trace.hit[steep].all()
    assert (trace.depth - truth.near)[steep].abs().max() < 1e-4


@pytest.mark.parametrize("factor", [0.5, 1.5])
@pytest.mark.parametrize("two_sided", [True, False])
def test_fields_that_are_no_distances(factor, two_sided, shape, rays):
    shape = shape("sphere")
    origins, directions = rays(aim=0.5)
    trace = RayTracer(RayTracerConfig(two_sided=two_sided)).trace(
        lambda x: factor * shape.value(x), origins, directions
    )
    truth = intersect_sphere(origins, directions, 0.6)
    assert trace.hit.all() and truth.meets.all()
    assert (trace.depth - truth.near).abs().max() < 2e-4 / factor


def test_a_step_over_the_surface_is_a_bracket(shape, rays):
    """Without line search a field that is steeper than a distance jumps inside; the root in between is found."""
    shape = shape("sphere")
    origins, directions = rays(aim=0.3)
    trace = RayTracer(RayTracerConfig(line_step_iters=0)).trace(lambda x: 1.6 * shape.value(x), origins, directions)
    truth = intersect_sphere(origins, directions, 0.6)
    assert trace.hit.all()
    assert (trace.depth - truth.near).abs().max() < 1e-4


@pytest.mark.parametrize("two_sided", [True, False])
def test_a_thin_shell_is_met_at_its_outside(two_sided, shape, rays):
    shape = shape("shell")
    origins, directions = rays(aim=0.5)
    trace = RayTracer(RayTracerConfig(two_sided=two_sided)).trace(shape.value, origins, directions)
    truth = intersect_sphere(origins, directions, 0.61)
    assert trace.hit.all()
    assert (trace.depth - truth.near).abs().max() < 2e-4


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_grazing_rays(settings, shape):
    """Rays past a sphere at its rim: hits and misses on the right side, however shallow."""
    offset = torch.linspace(-0.02, 0.02, 41, dtype=torch.float64)
    origins = torch.stack([0.6 + offset, torch.zeros(41).double(), torch.full((41,), -2.5).double()], dim=1)
    directions = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(41, 3)
    trace = RayTracer(RayTracerConfig(**settings)).trace(shape("sphere").value, origins, directions)
    assert trace.hit[offset < -1.5e-3].all()
    assert not trace.hit[offset > 1e-4].any()
    found = (origins + trace.depth[:, None] * directions)[trace.hit]
    assert (found.norm(dim=1) - 0.6).abs().max() < 1e-4
    assert trace.depth.isfinite().all()


@pytest.mark.parametrize("two_sided", [True, False])
def test_rays_that_start_inside_the_bounds_or_the_object(two_sided, shape):
    origins = torch.tensor([[0.0, 0.0, -0.9], [0.0, 0.0, 0.1], [0.0, 0.7, 0.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    trace = RayTracer(RayTracerConfig(two_sided=two_sided)).trace(shape("sphere").value, origins, directions)
    assert trace.hit.tolist() == [True, True, False]
    assert trace.depth[0] == pytest.approx(0.3, abs=1e-4)
    assert trace.depth[1] == 0  # the origin itself is inside
    assert trace.inside_bounds.all()


def test_rays_that_miss_the_bounds_give_their_closest_point():
    origins = torch.tensor([[0.0, 1.5, -3.0], [0.0, 0.0, 3.0]])
    directions = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    evaluated = []

    def value(x):
        evaluated.append(len(x))
        return x.norm(dim=1) - 0.6

    for mask in (None, torch.tensor([True, False])):
        trace = RayTracer(RayTracerConfig()).trace(value, origins, directions, mask)
        assert not trace.hit.any() and not trace.inside_bounds.any()
        assert trace.depth.tolist() == [3.0, 0.0]


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_no_rays_and_one_ray(count, masked, shape, rays):
    origins, directions = rays(5, aim=0.3)
    origins, directions = origins[:count], directions[:count]
    mask = torch.ones(count, dtype=torch.bool) if masked else None
    trace = RayTracer(RayTracerConfig()).trace(shape("torus").value, origins, directions, mask)
    assert trace.depth.shape == trace.hit.shape == trace.inside_bounds.shape == (count,)
    batch = RayTracer(RayTracerConfig()).trace(shape("torus").value, *rays(5, aim=0.3))
    torch.testing.assert_close(trace.depth[trace.hit], batch.depth[:count][trace.hit])


def test_the_smallest_value_of_rays_outside_the_mask(shape, rays):
    shape = shape("torus")
    origins, directions = rays(300, aim=0.9)
    torch.manual_seed(0)
    nothing = torch.zeros(300, dtype=torch.bool)
    trace = RayTracer(RayTracerConfig(n_closest=100)).trace(shape.value, origins, directions, nothing)
    assert not trace.hit.any()
    bounds = intersect_sphere(origins, directions)
    depths = bounds.near[:, None] + (bounds.far - bounds.near)[:, None] * torch.linspace(0, 1, 4000).double()
    smallest = shape.value(origins[:, None] + depths[..., None] * directions[:, None]).amin(1)
    found = shape.value(origins + trace.depth[:, None] * directions)
    spacing = (bounds.far - bounds.near) / 100
    assert (found >= smallest - 1e-4).all()
    assert (found <= smallest + 2 * spacing).all()
    assert len(torch.unique(trace.depth - bounds.near)) > 290  # every ray has depths of its own


def test_rays_in_the_mask_that_miss_get_the_smallest_value_too(shape, rays):
    shape = shape("sphere")
    origins, directions = rays(300, aim=0.95)
    everything = torch.ones(300, dtype=torch.bool)
    trace = RayTracer(RayTracerConfig()).trace(shape.value, origins, directions, everything)
    truth = intersect_sphere(origins, directions, 0.6)
    clear = (truth.near - truth.far).abs() > 0.1
    assert trace.hit[truth.meets & clear].all()
    missed = ~trace.hit
    assert missed.sum() > 30
    closest = (origins + truth.near[:, None] * directions).norm(dim=1)
    found = (origins + trace.depth[:, None] * directions).norm(dim=1)
    assert (found - closest)[missed].max() < 0.03


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_hull_bounds_change_where_the_search_begins_and_not_what_it_finds(settings, shape, rays):
    axis = torch.linspace(-1, 1, 64)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    for name in ("sphere", "torus"):
        field = shape(name)
        hull = HullBounds(field.value(grid), margin=0.05)
        origins, directions = (tensor.float() for tensor in rays())
        plain = RayTracer(RayTracerConfig(**settings)).trace(field.value, origins, directions)
        bounded = RayTracer(RayTracerConfig(**settings), hull).trace(field.value, origins, directions)
        both = plain.hit & bounded.hit
        assert (plain.hit != bounded.hit).float().mean() < 0.01
        found = origins + bounded.depth[:, None] * directions
        assert field.value(found[both]).abs().max() < 1e-4
        assert (plain.depth - bounded.depth)[both].abs().quantile(0.98) < 2e-4
        assert bounded.inside_bounds.sum() < plain.inside_bounds.sum()


def test_both_paths_find_the_same(shape, rays, monkeypatch):
    field = shape("torus")
    origins, directions = rays(200, aim=0.9)
    mask = torch.arange(200) % 3 != 0
    results = []
    for select in (lambda m: slice(None), lambda m: m.nonzero().squeeze(1)):
        monkeypatch.setattr(ray_tracing, "select_rays", select)
        # One closest sample a ray, at the same fraction for all: the two paths draw for different numbers of rays.
        monkeypatch.setattr(torch, "rand", lambda *shape, **kind: torch.full(shape, 0.5, **kind))
        results.append(RayTracer(RayTracerConfig(n_steps=40)).trace(field.value, origins, directions, mask))
    for name in ("depth", "hit", "inside_bounds"):
        torch.testing.assert_close(getattr(results[0], name), getattr(results[1], name), rtol=0, atol=1e-12)


def test_on_the_cpu_only_the_rays_that_need_it_are_evaluated(shape, rays, monkeypatch):
    monkeypatch.undo()
    origins, directions = rays(200, aim=0.2)
    evaluated = []

    def value(x):
        evaluated.append(len(x))
        return shape("sphere").value(x)

    RayTracer(RayTracerConfig()).trace(value, origins, directions)
    assert sum(evaluated) < 200 * 2 * 12


def test_nothing_carries_a_gradient(shape, rays):
    origins, directions = rays(5)
    trace = RayTracer(RayTracerConfig()).trace(shape("sphere").value, origins.requires_grad_(), directions)
    assert not trace.depth.requires_grad


@pytest.mark.parametrize("two_sided", [True, False])
def test_a_patient_search_finds_a_thin_plate_behind_what_a_ray_grazes(two_sided):
    """A ray that passes a ball closely makes small steps there; a plate thinner than the samples lies behind it."""

    def value(x):
        ball = (x + torch.tensor([0.4, 0.3, 0.0], dtype=x.dtype)).norm(dim=-1) - 0.3
        return torch.minimum(ball, (x[..., 0] - 0.4).abs() - 0.005)

    heights = torch.linspace(0.003, 0.02, 40, dtype=torch.float64)
    origins = torch.stack([torch.full_like(heights, -2), heights, torch.zeros_like(heights)], dim=1)
    directions = torch.tensor([1.0, 0, 0], dtype=torch.float64).expand_as(origins)
    tracer = RayTracer(RayTracerConfig(sphere_tracing_iters=4, n_steps=12, two_sided=two_sided))
    hurried, patient = (search.trace(value, origins, directions) for search in (tracer, tracer.patient()))
    assert not hurried.hit.all()
    assert patient.hit.all() and (patient.depth - 2.395).abs().max() < 1e-4
    assert tracer.config.sphere_tracing_iters == 4
