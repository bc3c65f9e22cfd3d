import csv

import numpy as np
import pytest
import torch

from nsr.errors import NsrError, SceneError
from nsr.priors.networks.depth_super_resolution.decimation import pyramid
from nsr.priors.networks.depth_super_resolution.depth_files import read_depth
from nsr.priors.networks.depth_super_resolution.pfm import write_pfm
from nsr.priors.networks.depth_super_resolution.pyramid_files import (
    TRAIN,
    VALIDATION,
    build_pyramid,
    has_index,
    read_index,
)

SIZE = (24, 32)


@pytest.fixture
def raw(tmp_path):
    """Five scans of three maps, with a hole each."""
    random = np.random.default_rng(0)
    for scan in range(5):
        for view in range(3):
            depth = random.uniform(500, 900, SIZE).astype(np.float32)
            depth[:6, :8] = 0
            write_pfm(tmp_path / "raw" / f"scan{scan}" / f"depth_map_{view:04d}.pfm", depth)
    return tmp_path / "raw"


def test_no_scan_is_on_both_sides_and_every_map_on_one(raw, tmp_path):
    assert build_pyramid(raw, tmp_path / "out", levels=2, validation=0.4) == 15
    assert has_index(tmp_path / "out") and not has_index(raw)
    sides = [read_index(tmp_path / "out", side).scenes for side in (TRAIN, VALIDATION)]
    assert len(sides[0]) == 9 and len(sides[1]) == 6
    assert read_index(tmp_path / "out", TRAIN, 4).scenes == sides[0][:4]
    assert not set(sides[0]) & set(sides[1])


def test_levels_are_what_training_decimates(raw, tmp_path):
    build_pyramid(raw, tmp_path / "out", levels=4, kind="area")
    for path in read_index(tmp_path / "out", TRAIN).files:
        name = path.relative_to(tmp_path / "out" / "divided_by_1")
        depth, mask = read_depth(raw / name)
        levels = pyramid(depth[None], mask[None], 8, "area")
        for divided_by, level in ((1, 8), (2, 4), (4, 2)):
            stored, stored_mask = read_depth(tmp_path / "out" / f"divided_by_{divided_by}" / name)
            torch.testing.assert_close(stored, levels[level][0][0], rtol=1e-6, atol=0)
            assert torch.equal(stored_mask, levels[level][1][0])


def test_the_index_says_size_and_path_of_every_level(raw, tmp_path):
    build_pyramid(raw, tmp_path / "out", levels=3)
    with (tmp_path / "out" / TRAIN).open() as file:
        row = next(csv.DictReader(file))
    assert row["width"] == "32" and row["height"] == "24"
    assert row["divided_by_4"] == f"divided_by_4/{row['scan']}/{row['name']}.pfm"
    assert read_index(tmp_path / "out", TRAIN, divided_by=4)[0]["depth"].shape == (1, 6, 8)
    with pytest.raises(SceneError, match="divided_by_16"):
        read_index(tmp_path / "out", TRAIN, divided_by=16)


def test_after_an_error_nothing_is_there(raw, tmp_path):
    (raw / "scan4" / "depth_map_0002.pfm").write_bytes(b"Pf\n9 9\n-1\n")
    with pytest.raises(SceneError, match="depth_map_0002"):
        build_pyramid(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_not_written_twice(raw, tmp_path):
    build_pyramid(raw, tmp_path / "out", levels=1)
    before = (tmp_path / "out" / TRAIN).read_bytes()
    with pytest.raises(SceneError, match="another folder"):
        build_pyramid(raw, tmp_path / "out", levels=2, seed=7)
    assert (tmp_path / "out" / TRAIN).read_bytes() == before


def test_two_maps_of_one_name_are_refused(raw, tmp_path):
    write_pfm(raw / "more" / "scan1" / "depth_map_0000.pfm", np.ones(SIZE, np.float32))
    with pytest.raises(SceneError, match="scan1/depth_map_0000"):
        build_pyramid(raw, tmp_path / "out")


def test_one_scan_cannot_be_split(raw, tmp_path):
    with pytest.raises(NsrError, match="none to train on"):
        build_pyramid(raw / "scan1", tmp_path / "out", validation=0.5)
