"""Rendered pictures: normals against finite differences, shadows against rays, samples against their definition."""

import numpy as np
import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.illumination import shade
from nsr.priors.networks.intrinsic_decomposition.synthetic.dataset import SyntheticPictures
from nsr.priors.networks.intrinsic_decomposition.synthetic.lighting import (
    ambient_occlusion,
    cast_shadow,
    random_picture,
)
from nsr.priors.networks.intrinsic_decomposition.synthetic.surfaces import (
    KINDS,
    Surface,
    pixel_grid,
    random_surface,
)
from nsr.priors.networks.intrinsic_decomposition.synthetic.texture import ALBEDO_RANGE, random_albedo
from nsr.priors.networks.intrinsic_decomposition.synthetic.texture import KINDS as TEXTURES


def flat(size, height=0.0):
    return Surface(np.full((size, size), height), np.zeros((2, size, size)), np.ones((size, size), bool))


@pytest.mark.parametrize("kind", KINDS)
def test_slopes_are_the_heights_derivatives(kind):
    size = 512
    surface = random_surface(np.random.default_rng(4), size, kind)
    step = 2 * 2 / size
    with np.errstate(invalid="ignore"):
        by_x = (surface.height[1:-1, 2:] - surface.height[1:-1, :-2]) / step
        by_y = (surface.height[2:, 1:-1] - surface.height[:-2, 1:-1]) / step
    inner = surface.slope[:, 1:-1, 1:-1]
    gentle = np.isfinite(by_x) & np.isfinite(by_y) & (np.abs(inner).max(0) < 2)
    error = np.abs(np.stack((by_x, by_y))[:, gentle] - inner[:, gentle])
    assert gentle.sum() > 2000
    assert np.quantile(error, 0.95) < 0.02  # creases, where two ellipsoids meet, differ


@pytest.mark.parametrize("kind", KINDS)
def test_normals_are_unit_and_face_the_viewer(kind):
    surface = random_surface(np.random.default_rng(5), 48, kind)
    normal = surface.normal[:, surface.mask]
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1)
    assert normal[2].max() < 0
    assert not surface.normal[:, ~surface.mask].any()


@pytest.mark.parametrize("kind", TEXTURES)
def test_albedo_stays_in_its_range(kind):
    surface = random_surface(np.random.default_rng(6), 32, "ellipsoids")
    albedo = random_albedo(np.random.default_rng(7), surface, kind)[:, surface.mask]
    assert ALBEDO_RANGE[0] <= albedo.min() and albedo.max() <= ALBEDO_RANGE[1]


def test_a_wall_casts_the_shadow_that_its_height_and_the_lamp_give():
    size = 128
    x, _ = pixel_grid(size)
    wall = np.where(np.abs(x) < 0.05, 0.4, 0.0)
    surface = Surface(wall, np.zeros((2, size, size)), np.ones((size, size), bool))
    direction = np.array([1.0, 0.0, -1.0]) / np.sqrt(
        2
    )  # from the right: the shadow falls left, as far as the wall is high
    visible = cast_shadow(surface, direction)[size // 2]
    line = x[0]
    assert visible[(line > -0.35) & (line < -0.15)].max() == 0
    assert visible[line > 0.06].min() == 1
    assert visible[line < -0.55].min() == 1


def test_open_plane_sees_everything_and_a_groove_less():
    assert ambient_occlusion(flat(32)).min() == 1
    x, _ = pixel_grid(64)
    groove = Surface(np.where(np.abs(x) < 0.1, -0.4, 0.0), np.zeros((2, 64, 64)), np.ones((64, 64), bool))
    seen = ambient_occlusion(groove)[32]
    assert seen[32] < 0.6 < 0.95 < seen[2]


def test_picture_is_albedo_times_shading_and_has_a_residue():
    surface = random_surface(np.random.default_rng(8), 48, "ellipsoids")
    albedo = random_albedo(np.random.default_rng(9), surface)
    picture = random_picture(np.random.default_rng(10), surface, albedo)
    np.testing.assert_allclose(picture.image, albedo * picture.shading, atol=1e-12)
    assert 0 <= picture.image.min() and picture.image.max() <= 1
    harmonic = shade(torch.from_numpy(surface.normal)[None], torch.from_numpy(picture.light)[None])[0].numpy()
    residue = (picture.shading - harmonic)[:, surface.mask]
    assert 0.005 < np.abs(residue).mean() < 0.3


def test_samples_depend_on_seed_and_number_alone_and_share_scenes_by_pairs():
    dataset = SyntheticPictures(6, 32, seed=3)
    first, again = dataset[4], SyntheticPictures(9, 32, seed=3)[4]
    for name, values in first.items():
        assert torch.equal(values, again[name]) if isinstance(values, torch.Tensor) else values == again[name]
    assert not torch.equal(first["image"], SyntheticPictures(6, 32, seed=4)[4]["image"])
    partner = dataset[5]
    assert torch.equal(first["albedo"], partner["albedo"]) and first["scene"] == partner["scene"]
    assert not torch.equal(first["light"], partner["light"])
    assert dataset.scenes[4] == dataset.scenes[5] != dataset.scenes[3]


def test_samples_are_what_they_say():
    for sample in (SyntheticPictures(8, 32, seed=1)[index] for index in range(8)):
        inside = sample["mask"][0] > 0
        torch.testing.assert_close(sample["normal"][:, inside].norm(dim=0), torch.ones(int(inside.sum())))
        error = (sample["image"] - sample["albedo"] * sample["shading"])[:, inside]
        assert error.abs().mean() < 0.02  # noise of a hundredth at most
        assert sample["light"].shape == (27, 32, 32) and sample["synthetic"].min() == 1
        assert (sample["light"] == sample["light"][:, :1, :1]).all()


def test_no_samples_is_an_error():
    with pytest.raises(NsrError, match="at least 1"):
        SyntheticPictures(0)
