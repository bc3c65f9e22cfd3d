"""Patches that cover, tiles that give back what they were given."""

import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.patches import PatchDataset, apply_in_tiles, windows
from nsr.priors.networks.common.samples import InMemory, Subset, check_sample
from nsr.priors.networks.common.splits import split_by_scene


def test_windows_without_overlap_tile_the_frame():
    assert len(windows(1024, 1024, 256, 256)) == 16
    assert len(windows(480, 848, 128, 128)) == 28  # zero-padded frames of 896x512 hold as many


@pytest.mark.parametrize(("height", "width", "size", "stride"), [(100, 37, 32, 20), (32, 32, 32, 32), (33, 65, 32, 7)])
def test_windows_cover_every_pixel_and_stay_inside(height, width, size, stride):
    seen = torch.zeros(height, width)
    for top, left in windows(height, width, size, stride):
        assert 0 <= top <= height - size and 0 <= left <= width - size
        seen[top : top + size, left : left + size] += 1
    assert seen.min() >= 1


@pytest.mark.parametrize("shape", [(2, 37, 53), (1, 8, 8), (1, 5, 90), (3, 64, 64), (1, 1, 9)])
@pytest.mark.parametrize(
    ("size", "overlap", "multiple"), [(0, 0, 1), (0, 0, 16), (16, 4, 8), (16, 0, 16), (24, 23, 8), (20, 5, 16)]
)
def test_the_identity_gives_the_frame_back(shape, size, overlap, multiple):
    maps = torch.randn(shape)
    seen = []

    def identity(tile):
        seen.append(tile.shape[-2:])
        return tile

    assert torch.allclose(apply_in_tiles(identity, maps, size, overlap, multiple), maps, atol=1e-6)
    assert all(length % multiple == 0 for pair in seen for length in pair)


def test_tiles_of_a_local_function_equal_the_whole():
    """Where the overlap is wider than what the function looks at, only the frame's edge may differ."""
    maps = torch.randn(1, 64, 80)
    blur = torch.nn.AvgPool2d(3, 1, 1)
    whole, tiled = blur(maps[None])[0], apply_in_tiles(blur, maps, 32, 16)
    inside = (slice(None), slice(2, -2), slice(2, -2))
    # within an overlap the outermost pixel of a tile, which misses a neighbour, has a small weight
    assert (whole - tiled)[inside].abs().max() < 0.5 / 17 * maps.abs().max()
    assert torch.allclose(whole[:, 2:14, 2:14], tiled[:, 2:14, 2:14], atol=1e-6)


def test_tiles_may_come_back_larger():
    maps = torch.rand(1, 30, 41)
    double = torch.nn.Upsample(scale_factor=2, mode="nearest")
    assert torch.allclose(apply_in_tiles(double, maps, 16, 4, 4, scale=2), double(maps[None])[0], atol=1e-6)


def test_an_overlap_as_wide_as_a_tile_is_refused():
    with pytest.raises(NsrError, match="cannot overlap by 16"):
        apply_in_tiles(lambda tile: tile, torch.rand(1, 64, 64), 16, 16)


class Frames:
    """Three frames of which the second has a valid corner and the third nothing valid."""

    scenes = ["a", "b", "c"]

    def __len__(self):
        return 3

    def __getitem__(self, index):
        mask = torch.zeros(1, 32, 32)
        if index == 0:
            mask += 1
        if index == 1:
            mask[:, :8, :16] = 1
        depth = torch.arange(32 * 32.0).reshape(1, 32, 32) + 10000 * index
        return {"depth": depth, "mask": mask, "name": str(index), "scene": self.scenes[index]}


def test_patches_are_where_they_say_and_invalid_ones_are_left_out():
    patches = PatchDataset(Frames(), 16, 16, minimum_valid=0.1)
    assert patches.scenes == ["a"] * 4 + ["b"]
    assert torch.equal(patches[3]["depth"], Frames()[0]["depth"][:, 16:, 16:])
    assert patches[4]["name"] == "1" and patches[4]["mask"].mean() == 0.5
    assert len(PatchDataset(Frames(), 16, 16, minimum_valid=0.5)) == 4


def test_patches_that_cannot_be_are_refused():
    with pytest.raises(NsrError, match="--patch 20 cannot be halved.*multiple of 8"):
        PatchDataset(Frames(), 20, 20, multiple=8)
    with pytest.raises(NsrError, match="does not fit into 32"):
        PatchDataset(Frames(), 64, 64)
    with pytest.raises(NsrError, match="none of the 1 frames has a patch"):
        PatchDataset(Subset(Frames(), [2]), 16, 16)


def test_in_memory_holds_the_same_samples():
    frames, held = Frames(), InMemory(Frames())
    assert held.scenes == frames.scenes and len(held) == 3
    for index in range(3):
        assert held[index]["name"] == frames[index]["name"] and torch.equal(
            held[index]["depth"], frames[index]["depth"]
        )
    assert held[1] is held[1]


def test_a_sample_is_checked():
    good = Frames()[0]
    assert check_sample(good) is good
    with pytest.raises(NsrError, match="c/2: the mask leaves nothing valid"):
        check_sample(Frames()[2])
    with pytest.raises(NsrError, match="a/0: depth is 16x32 but its mask is 32x32"):
        check_sample({**good, "depth": good["depth"][..., :16]})
    with pytest.raises(NsrError, match="a/0: depth holds values that are not finite"):
        check_sample({**good, "depth": good["depth"] / 0 * 0})


def test_no_scene_is_on_both_sides():
    scenes = [f"s{index // 3}" for index in range(30)]
    train, validation = split_by_scene(scenes, 0.3, seed=4)
    assert sorted(train + validation) == list(range(30))
    held_out = {scenes[index] for index in validation}
    assert len(held_out) == 3 and not held_out & {scenes[index] for index in train}
    assert split_by_scene(scenes, 0.3, seed=4) == (train, validation)
    assert len({tuple(split_by_scene(scenes, 0.3, seed=seed)[1]) for seed in range(20)}) > 5
    assert split_by_scene(scenes, 0.0, seed=4) == (list(range(30)), [])
    assert len(split_by_scene(scenes, 0.01, seed=4)[1]) == 3
