"""The surface renderer: what a training step gets, and whole views."""

import pytest
import torch

from nsr.config.schema import (
    EncodingConfig,
    ImplicitNetworkConfig,
    ModelConfig,
    RayTracerConfig,
    RenderingNetworkConfig,
)
from nsr.errors import ConfigError
from nsr.fields.initialisation import initialise_sphere
from nsr.rendering.bounds import HullBounds, intersect_sphere
from nsr.rendering import image
from nsr.rendering.image import outlines, render_view
from nsr.rendering.intersection import differentiable_intersection, displacement
from nsr.rendering.model import build_renderer
from nsr.scenes.cameras import Cameras

HASH = EncodingConfig("MultiResHash", dict(levels=3, log2_table=8, base_resolution=4, finest_resolution=12))
POSENC = EncodingConfig("PosEnc", {"frequencies": 2})


def make_renderer(encoding=HASH, mode="idr"):
    torch.manual_seed(0)
    config = ModelConfig(
        feature_vector_size=4,
        implicit_network=ImplicitNetworkConfig(dims=[64, 64], skip_in=[], encoding=encoding),
        rendering_network=RenderingNetworkConfig(mode=mode, dims=[16], view_encoding=POSENC, position_encoding=HASH),
    )
    renderer = build_renderer(config)
    initialise_sphere(renderer.sdf, 0.6)
    return renderer


@pytest.fixture(scope="module", params=[HASH, POSENC], ids=lambda encoding: encoding.name)
def renderer(request):
    return make_renderer(request.param)


def single(rays, count, **options):
    return tuple(tensor.float() for tensor in rays(count, **options))


def test_a_training_rendering(renderer, rays):
    origins, directions = single(rays, 200, aim=0.95)
    mask = torch.arange(200) % 4 != 0
    free = torch.rand(50, 3) * 2 - 1
    rendering = renderer(origins, directions, mask, free)
    sphere = intersect_sphere(origins, directions, 0.6)
    deep = sphere.meets & (sphere.far - sphere.near > 0.3)
    assert rendering.hit[deep & mask].all() and not rendering.hit[~mask].any()
    assert torch.equal(rendering.surface, (rendering.hit & mask).nonzero().squeeze(1))
    assert rendering.rgb.shape == (len(rendering.surface), 3) and (rendering.rgb.abs() <= 1).all()
    assert rendering.points.shape == (200, 3) and not rendering.points.requires_grad
    torch.testing.assert_close(rendering.sdf, renderer.sdf.value(rendering.points), atol=1e-5, rtol=0)
    assert rendering.sdf[rendering.hit].abs().max() < 1e-4
    expected = renderer.sdf.geometry(torch.cat([rendering.points, free]))
    torch.testing.assert_close(rendering.gradients, expected[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rendering.free_sdf, expected[0][200:])


def test_intersections_are_those_of_a_training_rendering(renderer, rays):
    """In value, and in their gradient, which is that of the ray's depth."""
    origins, directions = single(rays, 100, aim=0.95)
    found, points, normals = renderer.intersect(origins, directions)
    everything = torch.ones(100, dtype=torch.bool)
    rendering = renderer(origins, directions, everything, torch.empty(0, 3))
    assert torch.equal(found, rendering.surface) and 20 < len(found) < 100
    torch.testing.assert_close(points, rendering.surface_points, atol=1e-5, rtol=0)
    torch.testing.assert_close(points, rendering.points[found], atol=1e-5, rtol=0)
    torch.testing.assert_close(normals, rendering.gradients[found], atol=1e-4, rtol=1e-4)
    bias = renderer.sdf.lin2.bias
    slopes = [
        torch.autograd.grad((at * directions[found]).sum(), bias)[0][0] for at in (points, rendering.surface_points)
    ]
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=0)
    # All values up by h: the surface comes nearer by h over the cosine's magnitude.
    expected = -1 / (normals * directions[found]).sum(1)
    torch.testing.assert_close(slopes[0], expected.sum(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("encoding", [HASH, POSENC], ids=lambda encoding: encoding.name)
def test_colours_reach_every_parameter(encoding, rays):
    renderer = make_renderer(encoding)
    with torch.no_grad():  # the initial sphere gives the encoding no weight
        renderer.sdf.lin0.weight_v += 1e-3 * torch.randn_like(renderer.sdf.lin0.weight_v)
    rendering = renderer(*single(rays, 60, aim=0.3), torch.ones(60, dtype=torch.bool), torch.zeros(0, 3))
    rendering.rgb.square().sum().backward()
    for name, parameter in renderer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_colours_and_masks_reach_the_rays(renderer, rays):
    origins, directions = (tensor.requires_grad_() for tensor in single(rays, 60, aim=0.9))
    rendering = renderer(origins, directions, torch.ones(60, dtype=torch.bool), torch.zeros(0, 3))
    assert 0 < len(rendering.surface) < 60
    for loss in (rendering.rgb.sum(), rendering.sdf[~rendering.hit].sum()):
        for grad in torch.autograd.grad(loss, [origins, directions], retain_graph=True):
            assert grad.isfinite().all() and grad.abs().sum() > 0


def two_evaluations(renderer, origins, directions, mask):
    """Colours by IDR's differentiable point, with a second evaluation of the field there, which moves with it."""
    trace = renderer.tracer.trace(renderer.sdf.value, origins.detach(), directions.detach(), mask)
    surface = (trace.hit & mask).nonzero().squeeze(1)
    points = origins + trace.depth[:, None] * directions
    sdf, gradients, _ = renderer.sdf.geometry(points)
    moved = displacement(directions[surface], sdf[surface], gradients[surface])
    points = differentiable_intersection(origins[surface], directions[surface], trace.depth[surface], moved)
    _, normals, features = renderer.sdf.geometry(points)
    return renderer.radiance(points, directions[surface], normals, features), sdf, gradients


ENCODINGS = [
    HASH,
    EncodingConfig("MultiResHash", HASH.options | {"interpolation": "smoothstep"}),
    POSENC,
    EncodingConfig("SHEncoder", {"degree": 3}),
    EncodingConfig("FFB", dict(levels=2, log2_table=6, base_resolution=2, finest_resolution=5)),
]


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize("skip", [[], [1]])
@pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda encoding: encoding.name)
def test_one_evaluation_has_the_gradients_of_two(encoding, skip, clamp, rays):
    torch.manual_seed(0)
    implicit = ImplicitNetworkConfig(dims=[64, 64], skip_in=skip, encoding=encoding, softplus_beta=20.0, clamp=clamp)
    # A clamp has a kink at the surface: traced points that are a little off it lie on one side.
    tracer = RayTracerConfig(sdf_threshold=2e-3, n_secant_steps=1)
    config = ModelConfig(4, implicit, RenderingNetworkConfig(dims=[16], view_encoding=POSENC), tracer)
    renderer = build_renderer(config)
    initialise_sphere(renderer.sdf, 0.6, max_rounds=3)
    renderer.double()
    with torch.no_grad():
        for parameter in renderer.sdf.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    origins, directions = (tensor.requires_grad_() for tensor in rays(25, aim=0.4))
    mask = torch.arange(25) % 5 != 0
    torch.manual_seed(1)  # where the tracer looks along rays that miss
    rendering = renderer(origins, directions, mask, torch.zeros(0, 3).double())
    torch.manual_seed(1)
    rgb, sdf, gradients = two_evaluations(renderer, origins, directions, mask)
    assert len(rgb) > 5
    torch.testing.assert_close(rendering.rgb, rgb)
    inputs = [origins, directions, *renderer.parameters()]
    weights = torch.linspace(-1, 1, rgb.numel(), dtype=torch.float64).view_as(rgb)

    def derivatives(rgb, sdf, gradients):
        loss = (rgb * weights).sum() + sdf.square().sum() + (gradients.norm(dim=1) - 1).square().sum()
        return torch.autograd.grad(loss, inputs, allow_unused=True)

    own = derivatives(rendering.rgb, rendering.sdf, rendering.gradients)
    for found, expected in zip(own, derivatives(rgb, sdf, gradients), strict=True):
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 20])
def test_rays_that_hit_nothing_still_train(renderer, rays, count):
    origins, directions = single(rays, 20)
    rendering = renderer(origins[:count], directions[:count], torch.zeros(count, dtype=torch.bool), torch.rand(4, 3))
    assert rendering.rgb.shape == (0, 3) and len(rendering.surface) == 0
    (rendering.rgb.sum() + rendering.sdf.sum() + rendering.gradients.sum()).backward()


def test_a_rendered_view_is_the_field(renderer, sphere_truth):
    cameras = sphere_truth.cameras.to(torch.float32)
    height, width = sphere_truth.size
    view = render_view(renderer, cameras, 2, height, width, chunk=700)
    whole = render_view(renderer, cameras, 2, height, width)
    for name in ("rgb", "hit", "depth", "normal"):
        torch.testing.assert_close(getattr(view, name), getattr(whole, name), atol=2e-5, rtol=1e-4)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([columns, rows], dim=-1).view(-1, 2).float()
    origins, directions = cameras.rays(torch.full((len(pixels),), 2), pixels)
    inner, outer = (intersect_sphere(origins, directions, 0.6 * (1 + s)) for s in (-0.05, 0.05))
    hit, depth = view.hit.view(-1), view.depth.view(-1)
    assert hit[inner.meets].all() and not hit[~outer.meets].any()
    assert (depth >= outer.near - 1e-4)[hit].all() and (depth <= inner.near + 1e-4)[inner.meets].all()
    points = origins + depth[:, None] * directions
    assert renderer.sdf.value(points)[hit].abs().max() < 2e-4
    outward = torch.nn.functional.normalize(points, dim=1)
    normal = view.normal.view(-1, 3)
    assert (normal[hit].norm(dim=1) - 1).abs().max() < 1e-5
    assert ((normal * outward).sum(1)[hit] > 0.9).float().mean() > 0.95
    assert (
        (view.rgb[~view.hit] == 1).all() and (view.depth[~view.hit] == 0).all() and (view.normal[~view.hit] == 0).all()
    )
    assert ((view.rgb >= 0) & (view.rgb <= 1)).all() and not view.rgb.requires_grad


def test_pixels_on_an_outline_show_their_area(renderer, sphere_truth, monkeypatch):
    cameras = sphere_truth.cameras.select([2]).to(torch.float32)
    height, width = sphere_truth.size
    plain = render_view(renderer, cameras, 0, height, width)
    given = []
    monkeypatch.setattr(image, "outlines", lambda *pictures: given.append(pictures) or outlines(*pictures))
    view = render_view(renderer, cameras, 0, height, width, edge_rays=4)
    enlarge = torch.tensor([[4.0, 0.0, 1.5], [0.0, 4.0, 1.5], [0.0, 0.0, 1.0]])
    finer = render_view(renderer, Cameras(enlarge @ cameras.intrinsics, cameras.poses), 0, 4 * height, 4 * width)

    def blocks(picture):
        return picture.view(height, 4, width, 4, -1).transpose(1, 2).flatten(2, 3)

    true_coverage = blocks(finer.coverage).mean((2, 3))
    partial = (true_coverage > 0) & (true_coverage < 1)
    right = (view.coverage - true_coverage).abs() < 2e-3
    assert 50 < partial.sum() < 0.1 * partial.numel()
    assert right[partial].float().mean() > 0.95  # an outline may touch a pixel whose neighbours' centres are alike
    partial &= right
    (hit, depth, footprints) = given[0]
    assert torch.equal(hit, plain.hit) and torch.equal(footprints, depth / cameras.intrinsics[0, 0, 0])
    close = {"atol": 2e-3, "rtol": 0.0}
    torch.testing.assert_close(view.rgb[partial], blocks(finer.rgb).mean(2)[partial], **close)
    hits = blocks(finer.coverage)
    alone = (blocks(finer.rgb) * hits).sum(2) / hits.sum(2).clamp_min(1)
    torch.testing.assert_close(view.surface_rgb[partial], alone[partial], **close)
    over_white = view.surface_rgb * view.coverage[..., None] + 1 - view.coverage[..., None]
    torch.testing.assert_close(over_white, view.rgb, atol=1e-5, rtol=0.0)
    for name in ("hit", "depth", "normal"):
        assert torch.equal(getattr(view, name), getattr(plain, name))
    assert torch.equal(plain.coverage, plain.hit.float())
    inside = torch.nn.functional.max_pool2d((plain.coverage < 1).float()[None], 3, 1, 1)[0] == 0
    assert inside.any() and torch.equal(view.rgb[inside], plain.rgb[inside])


def test_a_surface_that_ends_before_another_has_an_outline():
    hit = torch.ones(3, 8, dtype=torch.bool)
    hit[:, 7] = False
    depth = torch.tensor([1.0, 1.003, 1.006, 1.011, 1.013, 1.016, 1.016, 1.016]).expand(3, 8)
    footprints = torch.full((3, 8), 0.001)
    edges = outlines(hit, depth, footprints)
    wanted = torch.tensor([False, False, True, True, False, False, True, True]).expand(3, 8)
    assert torch.equal(edges, wanted) and torch.equal(outlines(hit.T, depth.T, footprints.T), wanted.T)


@pytest.mark.parametrize("edge_rays", [1, 4])
def test_a_view_with_nothing_in_it_is_white(renderer, sphere_truth, edge_rays):
    poses = sphere_truth.cameras.poses[:1].float().clone()
    poses[:, :3, 3] *= 4
    poses[:, :3, :3] = poses[:, :3, :3] @ torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # look away
    cameras = Cameras(sphere_truth.cameras.intrinsics[:1].float(), poses)
    view = render_view(renderer, cameras, 0, 10, 12, edge_rays=edge_rays)
    assert not view.hit.any() and (view.rgb == 1).all() and (view.surface_rgb == 1).all()


def test_a_view_without_an_outline(renderer, sphere_truth):
    cameras = sphere_truth.cameras.select([0]).to(torch.float32)
    height, width = sphere_truth.size
    cameras.intrinsics[:, 0, 2] -= width / 2 - 4  # an 8x8 window in the middle
    cameras.intrinsics[:, 1, 2] -= height / 2 - 4
    view = render_view(renderer, cameras, 0, 8, 8, edge_rays=4)
    assert view.hit.all() and (view.coverage == 1).all() and torch.equal(view.rgb, view.surface_rgb)


def test_nothing_outside_the_bounds_is_surface(sphere_truth):
    renderer = make_renderer()
    axis = torch.linspace(-1, 1, 65)
    x = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    renderer.set_bounds(HullBounds(x[..., 2], 0.1))  # the half space z < 0.1
    above, below = torch.tensor([[0.0, 0.0, 0.3]]), torch.tensor([[0.0, 0.0, -0.3]])
    assert renderer.sdf.value(above) < 0 < renderer.value(above)
    assert renderer.value(below) == renderer.sdf.value(below) < 0
    assert "bounds.grid" in renderer.state_dict()


def test_a_conf_that_names_no_encoding_is_refused():
    config = ModelConfig()
    config.rendering_network.view_encoding = EncodingConfig("Spherical")
    with pytest.raises(ConfigError, match="unknown encoding 'Spherical'"):
        build_renderer(config)


def test_a_shading_field_shows_what_its_colours_are_made_of(rays):
    renderer = make_renderer(mode="shading")
    origins, directions = single(rays, 80, aim=0.5)
    rendering = renderer(origins, directions, torch.ones(80, dtype=torch.bool), torch.zeros(4, 3))
    parts = rendering.decomposition
    assert parts.albedo.shape == rendering.rgb.shape and torch.equal(parts.rgb, rendering.rgb)
    _, gradients, features = renderer.sdf.geometry(rendering.points[rendering.surface])
    again = renderer.radiance(rendering.points[rendering.surface], directions[rendering.surface], gradients, features)
    torch.testing.assert_close(rendering.rgb, again, atol=1e-4, rtol=1e-4)
    plain = make_renderer()(origins, directions, torch.ones(80, dtype=torch.bool), torch.zeros(4, 3))
    assert plain.decomposition is None


def test_shading_moves_the_surface_as_differences_say(rays):
    """The colour's slope in an SDF parameter, through the normal too, at a fixed set of rays."""
    renderer = make_renderer(POSENC, mode="shading")
    renderer = renderer.double()
    with torch.no_grad():
        renderer.radiance.harmonics[1:].add_(0.4 * torch.randn(8, 3, dtype=torch.float64))
        renderer.sdf.lin0.weight_v += 0.05 * torch.randn_like(renderer.sdf.lin0.weight_v)
    origins, directions = rays(40, aim=0.2)
    points = (renderer.trace(origins, directions).depth.unsqueeze(1) * directions + origins).detach()
    parameter = renderer.sdf.lin1.weight_v

    def shading():
        _, gradients, _ = renderer.sdf.geometry(points)
        return renderer.radiance.shading(gradients).sin().sum()

    slope = torch.autograd.grad(shading(), parameter)[0]
    step = torch.randn_like(parameter) * 1e-6
    with torch.no_grad():
        parameter.add_(step)
        above = shading()
        parameter.sub_(2 * step)
        below = shading()
        parameter.add_(step)
    assert slope.abs().sum() > 0
    torch.testing.assert_close((slope * step).sum(), (above - below) / 2, rtol=1e-5, atol=0)
