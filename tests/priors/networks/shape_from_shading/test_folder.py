from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.depth_files import write_packed_depth
from nsr.priors.networks.shape_from_shading.folder import ReliefFolder, sample_numbers, write_relief_sample
from nsr.priors.networks.shape_from_shading.generate import Recipe, SyntheticReliefs

FRAMES = SyntheticReliefs(3, replace(Recipe(size=48), cut=1.0), first=499)


@pytest.fixture
def folder(tmp_path):
    for number in range(len(FRAMES)):
        write_relief_sample(FRAMES[number], tmp_path / "reliefs")
    return tmp_path / "reliefs"


def test_the_layout_is_the_published_one(folder):
    assert {path.name for path in folder.iterdir()} == {"gt", "low", "shade", "proj", "mask"}
    assert sorted(path.name for path in (folder / "gt").iterdir()) == ["00499.bmp", "00500.bmp", "00501.bmp"]
    assert sorted(path.name for path in (folder / "proj").iterdir()) == ["00499.png", "00500.png", "00501.png"]
    assert sample_numbers(folder) == [499, 500, 501]


def test_what_was_written_is_read_back(folder):
    read = ReliefFolder(folder)
    for index in range(3):
        sample, original = read[index], FRAMES[index]
        valid = (original["mask"] > 0) & (original["shading"] > 0)
        assert torch.equal(sample["mask"] > 0, valid)
        for name, tolerance in (("depth", 2e-7), ("low", 2e-7), ("shading", 1e-6), ("pattern", 1e-6)):
            assert ((sample[name] - original[name]) * valid).abs().max() <= tolerance
            assert (sample[name][~valid] == 0).all()
    assert read.scenes == ["reliefs-00499", "reliefs-00500", "reliefs-00501"]


def test_numbers_choose_and_real_samples_need_no_truth(folder):
    (folder / "gt" / "00500.bmp").unlink()
    sample = ReliefFolder(folder, [500], need_depth=False)[0]
    assert "depth" not in sample and sample["name"] == "00500"
    with pytest.raises(NsrError, match="gt/00500.bmp: sample 500 lacks this file"):
        ReliefFolder(folder)


def test_depth_may_be_a_24_bit_png(folder):
    depth = FRAMES[0]["low"][0].double().numpy()
    counted = (depth * 1e5).round().astype(np.int64)
    bgr = np.stack([counted & 255, counted >> 8 & 255, counted >> 16], axis=-1).astype(np.uint8)
    (folder / "low" / "00499.bmp").unlink()
    cv2.imwrite(str(folder / "low" / "00499.png"), bgr)
    sample = ReliefFolder(folder)[0]
    assert ((sample["low"] - FRAMES[0]["low"]) * sample["mask"]).abs().max() < 6e-6


@pytest.mark.parametrize("missing", ["shade/00500.png", "proj/00501.png"])
def test_a_missing_file_is_told_before_anything_is_read(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(NsrError, match=f"{missing}: sample {missing[-7:-4]} lacks this file"):
        ReliefFolder(folder)


def test_files_of_different_sizes_are_told(folder):
    write_packed_depth(folder / "low" / "00500.bmp", np.ones((40, 48)))
    with pytest.raises(NsrError, match="the files of sample 500 differ in size: low 48x40, depth 48x48"):
        ReliefFolder(folder)[1]
    cv2.imwrite(str(folder / "mask" / "00501.png"), np.full((9, 9), 255, np.uint8))
    with pytest.raises(NsrError, match="mask/00501.png: is 9x9, but the rest of the sample 48x48"):
        ReliefFolder(folder)[2]


def test_a_sample_without_a_valid_pixel_is_told(folder):
    cv2.imwrite(str(folder / "mask" / "00499.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(NsrError, match="reliefs-00499/00499: the mask leaves nothing valid"):
        ReliefFolder(folder)[0]


def test_a_folder_without_samples_is_told(tmp_path):
    with pytest.raises(NsrError, match="there is no sample in it; a folder holds gt/ and low/"):
        ReliefFolder(tmp_path)
