"""Opacities and weights against closed forms."""

import math

import pytest
import torch

from nsr.config.schema import VolumeConfig
from nsr.errors import ConfigError
from nsr.rendering.density import Density, laplace_density, laplace_opacity, neus_opacity, section_weights


def plane_ray(sections=400, crossing=1.3, cosine=0.7, near=0.5, far=2.5):
    """Depths ``[1, M + 1]`` and SDF of a ray that enters a half space at ``crossing``, at this cosine to its normal."""
    depth = torch.linspace(near, far, sections + 1, dtype=torch.float64).unsqueeze(0)
    return depth, cosine * (crossing - depth)


def test_neus_weights_of_a_plane_are_the_logistic_density():
    sharpness = torch.tensor(40.0, dtype=torch.float64)
    depth, sdf = plane_ray()
    weights = section_weights(neus_opacity(sdf, depth, sharpness))
    logistic = torch.sigmoid(sharpness * sdf)
    torch.testing.assert_close(weights, (logistic[:, :-1] - logistic[:, 1:]) / logistic[:, :1], atol=1e-14, rtol=1e-10)


@pytest.mark.parametrize("cosine", [0.2, 0.7, 1.0])
@pytest.mark.parametrize("sharpness", [20.0, 300.0])
def test_neus_weights_are_largest_where_the_sdf_is_zero(cosine, sharpness):
    depth, sdf = plane_ray(crossing=1.3021, cosine=cosine)
    weights = section_weights(neus_opacity(sdf, depth, torch.tensor(sharpness, dtype=torch.float64)))
    largest = int(weights.argmax())
    assert depth[0, largest] <= 1.3021 <= depth[0, largest + 1]


def test_neus_opacity_does_not_depend_on_how_a_ray_is_cut():
    depth, sdf = plane_ray(sections=64)
    sharpness = torch.tensor(25.0, dtype=torch.float64)
    whole = section_weights(neus_opacity(sdf, depth, sharpness)).sum()
    few = section_weights(neus_opacity(sdf[:, ::16], depth[:, ::16], sharpness)).sum()
    torch.testing.assert_close(few, whole, atol=1e-13, rtol=0)


def test_a_ray_that_leaves_the_object_gathers_nothing_on_the_way_out():
    depth, sdf = plane_ray()
    outward = neus_opacity(-sdf, depth, torch.tensor(30.0, dtype=torch.float64))
    assert torch.equal(outward, torch.zeros_like(outward))


def test_neus_opacity_holds_deep_inside_where_logistics_underflow():
    sdf = torch.tensor([[-1.0, -1.1]])
    opacity = neus_opacity(sdf, sdf, torch.tensor(2000.0))
    torch.testing.assert_close(opacity, torch.ones(1, 1))


def test_laplace_density_has_the_values_of_its_definition():
    sharpness = torch.tensor(50.0, dtype=torch.float64)
    sdf = torch.tensor([-0.1, 0.0, 0.02], dtype=torch.float64)
    wanted = [50 * (1 - 0.5 * math.exp(-5)), 25.0, 50 * 0.5 * math.exp(-1)]
    torch.testing.assert_close(laplace_density(sdf, sharpness), torch.tensor(wanted, dtype=torch.float64))


def test_laplace_opacity_is_that_of_the_integrated_density():
    sharpness, cosine = torch.tensor(40.0, dtype=torch.float64), 0.7
    depth, sdf = plane_ray(sections=2000, cosine=cosine)
    opacity = section_weights(laplace_opacity(sdf, depth, sharpness))[:, :1200].sum()
    # Of the density to a depth d inside: sharpness (d + e^(-sharpness d) / (2 sharpness)) / cosine.
    inside = -float(sdf[0, 1200])
    integral = 40 * (inside + math.exp(-40 * inside) / 80) / cosine
    assert float(opacity) == pytest.approx(1 - math.exp(-integral), abs=1e-6)


@pytest.mark.parametrize("function", [neus_opacity, laplace_opacity])
def test_gradients_in_sdf_and_sharpness(function):
    generator = torch.Generator().manual_seed(0)
    depth = torch.linspace(0, 1, 8, dtype=torch.float64).expand(3, -1)
    sdf = 0.5 - depth + 0.02 * torch.randn(3, 8, generator=generator, dtype=torch.float64)
    sdf = sdf.requires_grad_()
    sharpness = torch.tensor(9.0, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f, s: section_weights(function(f, depth, s)), (sdf, sharpness))


def test_sharpness_is_learned_above_a_floor_that_rises():
    density = Density(VolumeConfig(sharpness=20.0, sharpness_floor=100.0))
    found = []
    for progress in (0.0, 0.5, 1.0):
        density.set_progress(progress)
        found.append(density.sharpness.item())
    assert found == pytest.approx([20, 70, 120], rel=1e-5)
    density.sharpness.backward()
    assert density.learned.grad.item() == pytest.approx(200, rel=1e-5)  # 10 times the learned part


def test_an_unknown_density_is_refused_by_name():
    with pytest.raises(ConfigError, match="volume.density is 'fog'; known are neus, laplace"):
        Density(VolumeConfig(density="fog"))
