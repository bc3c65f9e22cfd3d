"""Spherical-harmonic shading against integrals over the sphere of light."""

import math

import pytest
import torch
from nsr.priors.networks.intrinsic_decomposition.illumination import (
    LAMBERTIAN_CONSTANTS,
    ambient_light,
    change_frame,
    directional_light,
    fit_light,
    lambertian_basis,
    principal_direction,
    relight,
    shade,
)


def unit_normals(count, seed=0):
    """Unit vectors as a picture ``[1, 3, 1, count]``, camera frame."""
    vectors = torch.randn(1, 3, 1, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=1)


def test_constants_are_those_of_sfsnet():
    published = (0.8862269, 1.0233267, 1.0233267, 1.0233267, 0.2477080, 0.8580855, 0.8580855, 0.4290428, 0.8580855)
    assert LAMBERTIAN_CONSTANTS == pytest.approx(published, abs=1e-7)


def test_basis_is_sfsnets_formula_in_its_own_axes():
    normal = unit_normals(50)
    x, y, z = change_frame(normal).unbind(1)
    c = LAMBERTIAN_CONSTANTS
    rows = (1 + 0 * x, z, x, y, 2 * z * z - x * x - y * y, x * z, y * z, x * x - y * y, x * y)
    expected = torch.stack([constant * row for constant, row in zip(c, rows, strict=True)], 1)
    torch.testing.assert_close(lambertian_basis(normal), expected)


def test_length_of_a_normal_does_not_change_its_shading():
    normal, light = unit_normals(20), torch.randn(1, 27, dtype=torch.float64)
    torch.testing.assert_close(shade(5 * normal, light), shade(normal, light))


def test_directional_light_shades_as_its_clamped_cosine_up_to_third_order():
    normal = unit_normals(400)
    direction = torch.tensor([[0.3, -0.5, -0.8]], dtype=torch.float64)
    direction = direction / direction.norm()
    shading = shade(normal, directional_light(direction, torch.ones(1, 3, dtype=torch.float64)))[0, 0, 0]
    cosine = (normal[0, :, 0] * direction[0][:, None]).sum(0)
    # the series of max(0, cos) is 1/4 + cos/2 + (5/32)(3 cos^2 - 1) + orders of 4 and up
    torch.testing.assert_close(shading, 0.25 + cosine / 2 + 5 / 32 * (3 * cosine**2 - 1))


def test_shading_is_the_integral_of_a_smooth_light():
    """Irradiance summed over a fine grid of directions, of a light that second-order harmonics hold exactly."""
    theta = (torch.arange(200, dtype=torch.float64) + 0.5) * math.pi / 200
    phi = (torch.arange(400, dtype=torch.float64) + 0.5) * 2 * math.pi / 400
    theta, phi = (grid.flatten() for grid in torch.meshgrid(theta, phi, indexing="ij"))
    directions = torch.stack((theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()))
    area = theta.sin() * (math.pi / 200) * (2 * math.pi / 400)
    light = torch.randn(27, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # radiance from the coefficients: harmonics without the cosine lobe's factors, evaluated as normals would be
    factors = torch.tensor([math.pi] + [2 * math.pi / 3] * 3 + [math.pi / 4] * 5, dtype=torch.float64)
    radiance = torch.einsum(
        "kp,ck->cp", lambertian_basis(directions[None, :, None])[0, :, 0] / factors[:, None], light.view(3, 9)
    )
    normal = unit_normals(5, seed=2)
    cosine = torch.einsum("ip,in->np", directions, normal[0, :, 0]).clamp_min(0)
    irradiance = torch.einsum("np,cp,p->cn", cosine, radiance, area)
    torch.testing.assert_close(shade(normal, light[None])[0, :, 0], irradiance, rtol=1e-3, atol=1e-3)


def test_ambient_light_is_the_same_everywhere():
    colour = torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64)
    shading = shade(unit_normals(10), ambient_light(colour))
    torch.testing.assert_close(shading, colour[:, :, None, None].expand_as(shading))


def test_fit_finds_the_light_and_ignores_what_has_no_weight():
    normal = unit_normals(300)
    light = torch.randn(1, 27, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    shading = shade(normal, light)
    weight = torch.ones(1, 1, 1, 300, dtype=torch.float64)
    weight[..., :100] = 0
    shading[..., :100] = 1e3
    torch.testing.assert_close(fit_light(normal, shading, weight), light, rtol=1e-4, atol=1e-4)
    assert torch.equal(fit_light(normal, shading, 0 * weight), torch.zeros(1, 27, dtype=torch.float64))


def test_fit_of_one_plane_is_finite_and_reproduces_its_shading():
    normal = torch.tensor([0.0, 0.6, -0.8]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    shading = torch.full((1, 3, 4, 4), 0.7)
    light = fit_light(normal, shading, torch.ones(1, 1, 4, 4))
    torch.testing.assert_close(shade(normal, light), shading, rtol=1e-4, atol=1e-4)


def test_principal_direction_is_that_of_a_lamp():
    direction = torch.nn.functional.normalize(torch.tensor([[0.5, 0.3, -0.9]]), dim=1)
    light = directional_light(direction, torch.tensor([[1.0, 0.5, 0.2]])) + ambient_light(torch.ones(1, 3))
    torch.testing.assert_close(principal_direction(light), direction)


def test_relighting_is_albedo_times_the_new_shading():
    normal, albedo = unit_normals(6), torch.rand(1, 3, 1, 6, dtype=torch.float64)
    light = torch.randn(1, 27, dtype=torch.float64)
    torch.testing.assert_close(relight(albedo, normal, light) / albedo, shade(normal, light))
    # a lamp from above brightens what faces up, which is -y in the camera frame
    up, down = (torch.tensor([0.0, y, 0.0]).view(1, 3, 1, 1) for y in (-1.0, 1.0))
    lamp = directional_light(torch.tensor([[0.0, -1.0, 0.0]]), torch.ones(1, 3))
    assert (shade(up, lamp) > 5 * shade(down, lamp).abs()).all()
