"""Distance functions and shapes against closed forms, brute force and their own promises."""

import math

import pytest
import torch

from nsr.scenes.synthetic import SHAPES
from nsr.scenes.synthetic import distance_functions as df
from nsr.scenes.synthetic.shapes import BOUNDING_RADIUS


def random_points(count, half_size=1.0, seed=0):
    return (torch.rand(count, 3, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * half_size


def test_capsule_is_the_distance_to_the_nearest_point_of_its_segment():
    start, end = torch.tensor([-0.3, 0.1, 0.2]), torch.tensor([0.5, -0.2, 0.4])
    points = random_points(500)
    segment = torch.lerp(start, end, torch.linspace(0, 1, 4001).unsqueeze(-1))
    expected = torch.cdist(points, segment).amin(1) - 0.15
    torch.testing.assert_close(df.capsule(points, start.tolist(), end.tolist(), 0.15), expected, atol=1e-4, rtol=0)


def test_torus_is_the_distance_to_its_circle_less_its_thickness():
    points = random_points(500)
    angle = torch.linspace(0, 2 * math.pi, 20001)
    circle = torch.stack([0.5 * angle.cos(), 0.5 * angle.sin(), torch.zeros_like(angle)], dim=-1)
    expected = torch.cdist(points, circle).amin(1) - 0.2
    torch.testing.assert_close(df.torus(points, 0.5, 0.2), expected, atol=1e-4, rtol=0)


def test_rounded_box_is_the_distance_to_its_core_outside_and_to_its_sides_inside():
    half = torch.tensor([0.5, 0.4, 0.3])
    points = random_points(2000)
    distance = df.rounded_box(points, half.tolist(), 0.1)
    outside = (points.abs() > half - 0.1).any(1)
    core = points.clamp(-(half - 0.1), half - 0.1)
    torch.testing.assert_close(distance[outside], (points - core).norm(dim=1)[outside] - 0.1, atol=1e-6, rtol=0)
    to_side = (points.abs() - half).amax(1)
    torch.testing.assert_close(distance[~outside], to_side[~outside], atol=1e-6, rtol=0)


def test_ellipsoid_vanishes_on_the_ellipsoid_with_slope_one():
    radii = torch.tensor([0.7, 0.5, 0.4], dtype=torch.float64)
    on_it = torch.nn.functional.normalize(random_points(300).double(), dim=1) * radii
    on_it.requires_grad_(True)
    value = df.ellipsoid(on_it, (0, 0, 0), radii.tolist())
    (gradient,) = torch.autograd.grad(value.sum(), on_it)
    assert value.abs().max() < 1e-9
    torch.testing.assert_close(gradient.norm(dim=1), torch.ones(300, dtype=torch.float64), atol=1e-6, rtol=0)


def test_smooth_union_is_the_minimum_away_from_the_seam_and_smooth_across_it():
    first = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    second = torch.zeros_like(first)
    union = df.smooth_union(first, second, 0.4)
    apart = (first - second).abs() >= 0.4
    torch.testing.assert_close(union[apart], torch.minimum(first, second)[apart])
    assert union[1000] == pytest.approx(-0.4 / 6)
    slope = union.diff() / first.diff()
    assert slope.diff().abs().max() < 0.01  # a plain minimum jumps by 1
    assert slope.min() >= -1e-9 and slope.max() <= 1 + 1e-9


def test_smooth_carve_takes_the_tool_away():
    points = random_points(4000, 0.8)
    solid, tool = df.sphere(points, (0, 0, 0), 0.6), df.sphere(points, (0.4, 0, 0), 0.3)
    carved = df.smooth_carve(solid, tool, 0.05)
    assert (carved[tool < -0.05] > 0).all()
    untouched = tool > 0.7
    torch.testing.assert_close(carved[untouched], solid[untouched])


def test_gyroid_is_balanced_and_its_strongest_waves_have_the_wavelength():
    axis = torch.arange(64, dtype=torch.float64) / 64
    # Along one axis the coordinate period is sqrt(2) wavelengths: this cube holds 4 of them each way.
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    values = df.gyroid(points.reshape(-1, 3), 1 / (4 * math.sqrt(2))).reshape(64, 64, 64)
    assert abs(values.mean()) < 1e-9 and values.abs().max() == pytest.approx(1.0, abs=0.02)
    spectrum = torch.fft.fftn(values).abs()
    peak = torch.tensor(torch.unravel_index(spectrum.argmax(), spectrum.shape), dtype=torch.float64)
    peak = torch.minimum(peak, 64 - peak)
    assert peak.norm() == pytest.approx(4 * math.sqrt(2))


def test_there_are_shapes_of_every_kind():
    assert len(SHAPES) >= 5
    assert all(name == shape.name for name, shape in SHAPES.items())


@pytest.mark.parametrize("name", SHAPES)
def test_shape_keeps_its_promises(name):
    shape = SHAPES[name]
    points = random_points(60_000)
    value, gradient = shape.field_and_gradient(points)
    assert gradient.norm(dim=1).max() <= shape.slope_limit
    assert (value[points.norm(dim=1) > BOUNDING_RADIUS] > 0).all()
    assert 0.01 < (value < 0).double().mean() < 0.5


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.relief is not None])
def test_relief_can_be_taken_off(name):
    shape = SHAPES[name]
    points = random_points(1000)
    torch.testing.assert_close(shape.without_relief().field(points), shape.body(points))
    height = (shape.field(points) - shape.body(points)).abs()
    assert 0.3 * shape.relief_height < height.mean() and height.max() <= shape.relief_height * 1.001


def test_gradient_is_that_of_central_differences():
    shape = SHAPES["carved_stone"]
    points = random_points(300, 0.7).double()
    _, gradient = shape.field_and_gradient(points)
    step = 1e-6
    for axis in range(3):
        offset = torch.zeros(3, dtype=torch.float64)
        offset[axis] = step
        difference = (shape.field(points + offset) - shape.field(points - offset)) / (2 * step)
        torch.testing.assert_close(gradient[:, axis], difference, atol=1e-5, rtol=0)
