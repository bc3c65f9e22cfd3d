"""The differentiable intersection, by finite differences of the true intersection."""

import pytest
import torch

from nsr.config.schema import EncodingConfig, ImplicitNetworkConfig, RayTracerConfig
from nsr.fields.encoding import make_encoding
from nsr.fields.initialisation import initialise_sphere
from nsr.fields.sdf import SDFField
from nsr.rendering.intersection import differentiable_intersection, displacement
from nsr.rendering.model import build_renderer  # noqa: F401  (registers every encoding)
from nsr.rendering.ray_tracing import RayTracer
from nsr.scenes.cameras import Cameras
from nsr.training.camera_optimisation import rotation_from_quaternion


def sphere_depth(origins, directions, centre, radius):
    """Exact depth of the near intersection."""
    offset = origins - centre
    along = (offset * directions).sum(1)
    return -along - (along**2 - offset.square().sum(1) + radius**2).sqrt()


def sphere_points(origins, directions, centre, radius):
    """As the renderer does it: the exact depth as the tracer's constant, then the differentiable point."""
    depth = sphere_depth(origins, directions, centre, radius).detach()
    at = origins + depth[:, None] * directions
    offset = at - centre
    distance = offset.norm(dim=1)
    return differentiable_intersection(
        origins, directions, depth, displacement(directions, distance - radius, offset / distance[:, None])
    )


@pytest.fixture
def sphere_rays(rays):
    return rays(30, aim=0.35)


def test_its_value_is_the_traced_point(sphere_rays):
    origins, directions = sphere_rays
    points = sphere_points(origins, directions, torch.zeros(3).double(), 0.6)
    depth = sphere_depth(origins, directions, torch.zeros(3).double(), 0.6)
    assert torch.equal(points, origins + depth[:, None] * directions)


def test_it_moves_with_radius_and_centre_as_the_surface_does(sphere_rays):
    origins, directions = sphere_rays
    start = torch.tensor([0.6, 0.05, -0.02, 0.03], dtype=torch.float64)
    own = torch.autograd.functional.jacobian(lambda p: sphere_points(origins, directions, p[1:], p[0]), start)
    true = torch.autograd.functional.jacobian(
        lambda p: origins + sphere_depth(origins, directions, p[1:], p[0])[:, None] * directions, start
    )
    numeric = torch.stack(
        [
            (
                sphere_depth(origins, directions, (start + e)[1:], (start + e)[0])
                - sphere_depth(origins, directions, (start - e)[1:], (start - e)[0])
            )[:, None]
            * directions
            / 2e-6
            for e in 1e-6 * torch.eye(4, dtype=torch.float64)
        ],
        dim=-1,
    )
    torch.testing.assert_close(own, true, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(own, numeric, rtol=1e-5, atol=1e-6)


def test_it_moves_with_the_camera_as_the_surface_does(sphere_truth):
    """A pose (quaternion and centre) and the focal length move the rays; the true intersections follow."""
    quaternion = torch.nn.functional.normalize(torch.tensor([0.9, 0.1, -0.2, 0.3], dtype=torch.float64), dim=0)
    forward = rotation_from_quaternion(quaternion[None])[0, :, 2]
    start = torch.cat([quaternion, -2.5 * forward, torch.tensor([70.0], dtype=torch.float64)])
    pixels = torch.tensor([[31.0, 24.0], [36.5, 20.0], [25.0, 28.0], [30.0, 33.0]], dtype=torch.float64)

    def rays_of(parameters):
        pose = torch.eye(4, dtype=torch.float64)
        pose = torch.cat(
            [
                torch.cat([rotation_from_quaternion(parameters[None, :4])[0], parameters[4:7, None]], dim=1),
                pose[3:],
            ]
        )
        intrinsics = sphere_truth.cameras.intrinsics[0].clone()
        intrinsics = intrinsics + torch.diag(torch.tensor([1.0, 0, 0]).double()) * (parameters[7] - intrinsics[0, 0])
        cameras = Cameras(intrinsics[None], pose[None])
        return cameras.rays(torch.zeros(len(pixels), dtype=torch.int64), pixels)

    centre = torch.tensor([0.02, -0.03, 0.01], dtype=torch.float64)

    def true_points(parameters):
        origins, directions = rays_of(parameters)
        return origins + sphere_depth(origins, directions, centre, 0.6)[:, None] * directions

    own = torch.autograd.functional.jacobian(lambda p: sphere_points(*rays_of(p), centre, 0.6), start)
    for index in range(8):
        step = torch.zeros(8, dtype=torch.float64)
        step[index] = 1e-6
        numeric = (true_points(start + step) - true_points(start - step)) / 2e-6
        torch.testing.assert_close(own[..., index], numeric, rtol=1e-5, atol=1e-6)
    assert own.abs().amax((0, 1)).min() > 1e-4  # every parameter of the camera moves something


@pytest.mark.parametrize("encoding", ["PosEnc", "MultiResHash"])
def test_it_moves_with_a_networks_weight_as_the_traced_surface_does(encoding, sphere_rays):
    torch.manual_seed(0)
    options = {
        "PosEnc": {"frequencies": 2},
        "MultiResHash": dict(levels=3, log2_table=10, base_resolution=4, finest_resolution=12, amplitude=0.02),
    }[encoding]
    encoding = EncodingConfig(encoding, options)
    config = ImplicitNetworkConfig(dims=[32, 32], skip_in=[], encoding=encoding, bias=0.6)
    field = SDFField(make_encoding(encoding), config, 0)
    initialise_sphere(field, 0.6)
    field.double()
    origins, directions = (tensor[:10] for tensor in sphere_rays)
    tracer = RayTracer(RayTracerConfig(sdf_threshold=1e-12, sphere_tracing_iters=60, n_secant_steps=30))

    def traced():
        trace = tracer.trace(field.value, origins, directions)
        assert trace.hit.all()
        return origins + trace.depth[:, None] * directions, trace.depth

    points, depth = traced()
    value, gradient, _ = field.geometry(points)
    moved = differentiable_intersection(origins, directions, depth, displacement(directions, value, gradient))
    weights = torch.linspace(-1, 1, 30, dtype=torch.float64).view(10, 3)
    loss = (moved * weights).sum()
    for parameter, index in ((field.lin1.weight_v, (3, 5)), (field.lin2.bias, (0,)), (field.lin0.weight_g, (7, 0))):
        own = torch.autograd.grad(loss, parameter, retain_graph=True)[0][index]
        step, ends = 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[index] += sign * step
                ends.append((traced()[0] * weights).sum())
                parameter[index] -= sign * step
        assert own.abs() > 0
        torch.testing.assert_close(own, (ends[0] - ends[1]) / (2 * step), rtol=2e-3, atol=1e-6)


def test_rays_that_graze_have_bounded_gradients():
    directions = torch.tensor([[0.0, 0.0, 1.0]] * 3)
    gradient = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, -1e-9], [1.0, 0.0, 1e-5]])
    value = torch.zeros(3, requires_grad=True)
    points = differentiable_intersection(
        torch.zeros(3, 3), directions, torch.ones(3), displacement(directions, value, gradient, 1e-2)
    )
    points[:, 2].sum().backward()
    assert value.grad.abs().tolist() == pytest.approx([100.0] * 3)
    assert value.grad[1] > 0 > value.grad[2]  # the side is kept


def test_no_rays():
    empty = torch.zeros(0, 3)
    nowhere = displacement(empty, torch.zeros(0), empty)
    assert differentiable_intersection(empty, empty, torch.zeros(0), nowhere).shape == (0, 3)
