import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from nsr.errors import NsrError
from nsr.priors.networks.depth_super_resolution.decimation import Degradation, decimate, pyramid


@pytest.fixture
def holed():
    generator = torch.Generator().manual_seed(0)
    depth = 1 + torch.rand(2, 1, 13, 18, generator=generator)
    mask = (torch.rand(2, 1, 13, 18, generator=generator) > 0.3).float()
    return depth * mask, mask


def blocks(values, factor):
    """Every block of the first map, cut at the border."""
    height, width = values.shape[-2:]
    return [
        [values[0, 0, i : i + factor, j : j + factor].numpy() for j in range(0, width, factor)]
        for i in range(0, height, factor)
    ]


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_area_is_the_mean_of_the_blocks_valid_pixels_where_half_are(holed, factor):
    depth, mask = holed
    low, low_mask = decimate(depth, mask, factor, "area")
    for i, row in enumerate(blocks(depth, factor)):
        for j, values in enumerate(row):
            inside = blocks(mask, factor)[i][j] > 0
            assert low_mask[0, 0, i, j] == (inside.sum() >= factor**2 / 2)
            if low_mask[0, 0, i, j]:
                assert low[0, 0, i, j].item() == pytest.approx(values[inside].mean(), rel=1e-5)
            else:
                assert low[0, 0, i, j] == 0


@pytest.mark.parametrize(("kind", "first"), [("interval", 0), ("nearest", 2)])
def test_interval_and_nearest_take_one_pixel_with_its_validity(holed, kind, first):
    depth, mask = holed
    low, low_mask = decimate(depth, mask, 4, kind)
    assert low.shape[-2:] == (4, 5)
    assert torch.equal(low[..., :3, :4], depth[..., first:12:4, first:16:4])
    assert torch.equal(low_mask[..., :3, :4], mask[..., first:12:4, first:16:4])
    if kind == "nearest":  # the blocks at the border have no middle
        assert not low_mask[..., 3, :].any() and not low_mask[..., 4].any()


def test_the_pyramid_ends_with_the_map_itself(holed):
    depth, mask = holed
    levels = pyramid(depth, mask, 8, "interval")
    assert list(levels) == [2, 4, 8]
    assert torch.equal(levels[8][0], depth) and torch.equal(levels[8][1], mask)
    assert torch.equal(levels[2][0], decimate(depth, mask, 4, "interval")[0])


def test_blur_is_a_gaussian_of_low_resolution_pixels():
    depth = torch.rand(1, 1, 32, 32, dtype=torch.float64)
    low, _ = Degradation("interval", blur=0.5).apply(depth, torch.ones_like(depth), 2)
    expected = gaussian_filter(depth[0, 0].numpy(), 1.0, truncate=3, mode="constant")
    expected /= gaussian_filter(np.ones((32, 32)), 1.0, truncate=3, mode="constant")
    np.testing.assert_allclose(low[0, 0].numpy(), expected[::2, ::2], rtol=1e-6)


def test_blur_leaves_invalid_depth_out():
    depth, mask = torch.full((1, 1, 16, 16), 2.0), torch.ones(1, 1, 16, 16)
    mask[..., 5:9, 3:11] = 0
    low, low_mask = Degradation("area", blur=0.5).apply(torch.where(mask > 0, depth, torch.nan), mask, 4)
    torch.testing.assert_close(low, 2 * low_mask)


def test_noise_is_millimetres_seeded_and_on_valid_pixels_alone():
    depth, mask = torch.full((1, 1, 256, 256), 1.5), torch.ones(1, 1, 256, 256)
    mask[..., :128] = 0
    degradation = Degradation("interval", noise=5)
    first, second = (degradation.apply(depth, mask, 2, torch.Generator().manual_seed(4))[0] for _ in range(2))
    assert torch.equal(first, second)
    assert not first[..., :64].any()
    assert (first[..., 64:] - 1.5).std().item() == pytest.approx(0.005, rel=0.05)


@pytest.mark.parametrize("arguments", [{"kind": "lanczos"}, {"blur": -1}, {"noise": -0.1}, {"blur": float("nan")}])
def test_what_cannot_be_is_refused(arguments):
    with pytest.raises(NsrError):
        Degradation(**arguments)
