import cv2
import numpy as np
import pytest
import torch

from nsr.errors import NsrError, SceneError
from nsr.priors.networks.depth_super_resolution.depth_files import DepthFiles, find_depth_files, read_depth
from nsr.priors.networks.depth_super_resolution.pfm import write_pfm


def test_every_format_gives_metres_and_a_mask(tmp_path):
    values = np.array([[500, 0, 1250], [65535, 1, 2]], np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    np.save(tmp_path / "a.npy", values)
    write_pfm(tmp_path / "a.pfm", values.astype(np.float32))
    for suffix in ("png", "npy", "pfm"):
        depth, mask = read_depth(tmp_path / f"a.{suffix}")
        torch.testing.assert_close(depth, torch.tensor([[[0.5, 0, 1.25], [65.535, 0.001, 0.002]]]))
        assert mask.tolist() == [[[1, 0, 1], [1, 1, 1]]]
    assert read_depth(tmp_path / "a.npy", "m")[0][0, 0, 0] == 500


def test_what_is_not_finite_or_not_positive_is_invalid(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[np.nan, -3, np.inf, 7.0]]))
    depth, mask = read_depth(tmp_path / "a.npy", "m")
    assert mask.tolist() == [[[0, 0, 0, 1]]] and depth.tolist() == [[[0, 0, 0, 7]]]


def test_the_layout_of_dtu_is_found_without_its_pictures(tmp_path):
    for scan in ("scan2", "scan10"):
        (tmp_path / scan).mkdir()
        write_pfm(tmp_path / scan / "depth_map_0000.pfm", np.full((4, 5), 600, np.float32))
        cv2.imwrite(str(tmp_path / scan / "depth_visual_0000.png"), np.zeros((4, 5), np.uint8))
    maps = DepthFiles(find_depth_files(tmp_path))
    assert maps.scenes == ["scan10", "scan2"]
    assert maps[1]["name"] == "depth_map_0000" and maps[1]["scene"] == "scan2"
    assert torch.equal(maps[1]["depth"], torch.full((1, 4, 5), 0.6))


def write_8_bits(folder):
    cv2.imwrite(str(folder / "a.png"), np.ones((4, 4), np.uint8))


def write_colours(folder):
    cv2.imwrite(str(folder / "a.png"), np.ones((4, 4, 3), np.uint16))


def write_volume(folder):
    np.save(folder / "a.npy", np.ones((2, 4, 4)))


def write_garbage(folder):
    (folder / "a.npy").write_bytes(b"no array")


def write_nothing_valid(folder):
    np.save(folder / "a.npy", np.zeros((4, 4)))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (write_8_bits, "a.png: .* has 8 bits and 1 channel"),
        (write_colours, "3 channels"),
        (write_volume, r"\[2, 4, 4\]"),
        (write_garbage, "a.npy: cannot be read"),
        (write_nothing_valid, "nothing valid"),
    ],
)
def test_a_file_that_is_no_depth_map_is_refused(tmp_path, write, said):
    write(tmp_path)
    with pytest.raises(NsrError, match=said):
        DepthFiles(find_depth_files(tmp_path))[0]


def test_a_folder_without_maps_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SceneError, match=folder.name):
            find_depth_files(folder)
