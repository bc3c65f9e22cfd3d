"""Light against closed forms; textures by their statistics."""

import numpy as np
import pytest
import torch

from nsr.scenes.synthetic.light import Light, spherical_harmonics, studio_light
from nsr.scenes.synthetic.texture import WaveTexture


def test_harmonics_are_orthonormal():
    nodes, weights = np.polynomial.legendre.leggauss(8)
    azimuth = np.arange(16) * 2 * np.pi / 16
    z, phi = (torch.from_numpy(grid.reshape(-1)) for grid in np.meshgrid(nodes, azimuth, indexing="ij"))
    planar = (1 - z * z).sqrt()
    basis = spherical_harmonics(torch.stack([planar * phi.cos(), planar * phi.sin(), z], dim=-1))
    area = torch.from_numpy(np.repeat(weights, 16) * 2 * np.pi / 16)
    torch.testing.assert_close(basis.T @ (basis * area.unsqueeze(-1)), torch.eye(9).double(), atol=1e-6, rtol=0)


def one_light(position):
    return Light(torch.zeros(9, 3), torch.tensor([position]), torch.tensor([[0.8, 0.6, 0.4]]), shadows=False)


def test_point_light_falls_with_the_squared_distance_and_the_cosine():
    light = one_light([0.0, 0.0, 4.0])
    points = torch.tensor([[0.0, 0, 0], [0, 0, 2], [0, 0, 0]])
    tilted = [np.sin(1.0), 0, np.cos(1.0)]
    normals = torch.tensor([[0.0, 0, 1], [0, 0, 1], tilted], dtype=torch.float32)
    diffuse, _ = light.point(0, points, normals, normals, shininess=10.0)
    expected = torch.tensor([[0.8, 0.6, 0.4]]) * torch.tensor([[1.0], [4.0], [np.cos(1.0)]], dtype=torch.float32)
    torch.testing.assert_close(diffuse, expected)


def test_highlight_is_full_in_the_mirror_direction_and_gone_behind():
    light = one_light([3.0, 0.0, 3.0])
    normal = torch.tensor([[0.0, 0, 1], [0.0, 0, -1]])
    mirrored = torch.nn.functional.normalize(torch.tensor([[-1.0, 0, 1], [-1.0, 0, 1]]), dim=1)
    diffuse, highlight = light.point(0, torch.zeros(2, 3), normal, mirrored, shininess=50.0)
    torch.testing.assert_close(highlight, torch.tensor([[0.8, 0.6, 0.4], [0, 0, 0]]))
    assert (diffuse[1] == 0).all()


def test_studio_light_has_the_mean_shading_asked_for():
    light = studio_light(ambient=0.5, point_lights=3, intensity=0.7, shadows=True, seed=4)
    normals = torch.nn.functional.normalize(torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.testing.assert_close(light.ambient(normals).mean(0), torch.full((3,), 0.5), atol=0.01, rtol=0)
    assert light.positions.shape == (3, 3)
    torch.testing.assert_close(light.positions.norm(dim=1), torch.full((3,), 3.5))


def test_without_point_lights_there_are_none():
    assert len(studio_light(0.5, 0, 0.7, True, 0).positions) == 0


def test_texture_is_seeded_bounded_and_of_strong_contrast():
    points = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    albedo = WaveTexture(0.03, 0.5, seed=1).albedo(points)
    assert torch.equal(albedo, WaveTexture(0.03, 0.5, seed=1).albedo(points))
    assert not torch.allclose(albedo, WaveTexture(0.03, 0.5, seed=2).albedo(points), atol=0.05)
    assert albedo.min() > 0 and albedo.max() < 1
    assert albedo.std(0).min() > 0.08


@pytest.mark.parametrize("wavelength", [0.03, 0.1])
def test_fine_pattern_has_its_detail_at_the_wavelength(wavelength):
    texture = WaveTexture(wavelength, 0.5, seed=0)
    count, spacing = 4096, wavelength / 16
    starts = torch.rand(64, 1, 3, generator=torch.Generator().manual_seed(0))
    along = torch.arange(count).view(1, -1, 1) * spacing * torch.tensor([0.6, 0.64, 0.48])
    pattern = texture.fine((starts + along).reshape(-1, 3)).reshape(64, count)
    spectrum = torch.fft.rfft(pattern - pattern.mean(1, keepdim=True)).abs().square().mean(0)
    frequency = torch.fft.rfftfreq(count, spacing) * wavelength
    # A line cuts the waves at a slant, so its own are no shorter than theirs; squashing adds some overtones.
    assert spectrum[frequency <= 1.05].sum() / spectrum.sum() > 0.85
    assert spectrum[frequency > 4].sum() / spectrum.sum() < 0.01


def test_fine_pattern_is_grey_and_keeps_within_the_contrast():
    points = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0))
    fine = WaveTexture(0.03, 0.4, seed=0).fine(points)
    assert fine.shape == (5000, 1)
    assert 0.6 <= fine.min() < 0.65 and 0.95 < fine.max() <= 1
