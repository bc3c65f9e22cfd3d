"""Frames made and read: what the simulator promises, every encoding, every fault in one line."""

import os

import cv2
import numpy as np
import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.samples import check_sample
from nsr.priors.networks.common.depth_png import write_depth_png, write_pixels
from nsr.priors.networks.depth_denoising.depth_files import read_depth, read_infrared
from nsr.priors.networks.depth_denoising.folders import FolderFrames, LivingRoom, Prepared, convert_raw, find_frames
from nsr.priors.networks.depth_denoising.simulated import SimulatedFrames, facing_of, simulate
from nsr.scenes.synthetic.sensors.stereo import StereoSensor


def test_simulated_frames_are_samples_and_seeds_decide():
    frames = SimulatedFrames(2, seed=3, size=(64, 96))
    sample = check_sample(frames[0])
    assert {"noisy", "depth", "infrared", "mask"} < sample.keys() and sample["noisy"].shape == (1, 64, 96)
    assert torch.equal(sample["noisy"], SimulatedFrames(1, seed=3, size=(64, 96))[0]["noisy"])
    assert not torch.equal(sample["noisy"], SimulatedFrames(1, seed=4, size=(64, 96))[0]["noisy"])
    millimetres = 1000 * sample["noisy"].double()
    assert (millimetres - millimetres.round()).abs().max() < 1e-3
    levels = 255 * sample["infrared"].double()
    assert (levels - levels.round()).abs().max() < 1e-4 and levels.max() > 20
    measured = sample["noisy"] > 0
    assert 0.3 < measured.float().mean() < 1
    error = (sample["noisy"] - sample["depth"])[measured].abs()
    assert 0 < error.median() < 0.02


def test_the_noise_is_the_sensors():
    depth = np.full((200, 200), 2.0)
    sensor = StereoSensor(0.05, noise=0.08, fattening=0, occlusion=False)
    noisy, infrared = simulate(
        depth, 424.0, np.full_like(depth, 0.5), np.ones_like(depth), sensor, np.random.default_rng(0)
    )
    # dz = z^2 / (f B) dd, quantised
    assert (noisy - 2.0).std() == pytest.approx(0.08 * 4 / (424 * 0.05), rel=0.1)
    assert infrared.mean() == pytest.approx(0.5 * (0.8 + 0.2 * 0.06), rel=0.02)
    dark, _ = simulate(depth, 424.0, np.full_like(depth, 0.01), np.ones_like(depth),
                       StereoSensor(0.05, least_signal=0.03), np.random.default_rng(0))  # fmt: skip
    assert (dark == 0).all()


def test_facing_of_a_slanted_plane():
    height, width, focal = 40, 60, 100.0
    column = np.arange(width) - (width - 1) / 2
    depth = np.tile(1 / (1 - 0.5 * column / focal), (height, 1))  # z = 1 + x / 2
    facing = facing_of(depth, focal)
    ray = np.array([0.005, 0.005, 1.0])
    expected = abs(np.array([-0.5, 0, 1]) @ ray) / np.linalg.norm([0.5, 0, 1]) / np.linalg.norm(ray)
    assert facing[20, 30] == pytest.approx(expected, rel=5e-3)
    depth[:, 31:] += 1.0
    assert np.allclose(facing_of(depth, focal)[:, :31], facing[:, :31])  # what is behind changes nothing


def test_depth_survives_its_file(tmp_path):
    depth = np.random.default_rng(0).uniform(0, 60, (30, 40)).astype(np.float32)
    write_depth_png(tmp_path / "d.png", depth)
    assert np.abs(read_depth(tmp_path / "d.png") - depth).max() < 0.00051
    for bad in (-0.1, np.nan):
        with pytest.raises(NsrError, match="finite, from 0 to"):
            write_depth_png(tmp_path / "e.png", np.full((2, 2), bad))
    assert [path.name for path in tmp_path.iterdir()] == ["d.png"]


def test_infrared_uses_its_full_range(tmp_path):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_pixels(tmp_path / "eight.png", levels)
    write_pixels(tmp_path / "unscaled.png", levels.astype(np.uint16))
    write_pixels(tmp_path / "sixteen.png", (257 * levels.astype(np.uint32)).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "three.png"), np.repeat(levels[..., None], 3, axis=-1))
    for name in ("eight", "unscaled", "sixteen", "three"):
        assert np.allclose(read_infrared(tmp_path / f"{name}.png"), levels / 255)


@pytest.mark.parametrize("size", [(848, 480), (1280, 720), (640, 480)])
def test_raw_dumps_of_every_size(tmp_path, size):
    random = np.random.default_rng(1)
    depth = random.integers(0, 5000, size[::-1], dtype=np.uint16)
    infrared = random.integers(0, 256, size[::-1], dtype=np.uint8)
    depth.tofile(tmp_path / "cam_Depth_7.raw")
    infrared.tofile(tmp_path / "cam_Infrared_7.raw")
    assert np.allclose(read_depth(tmp_path / "cam_Depth_7.raw"), depth / 1000)
    assert np.allclose(read_infrared(tmp_path / "cam_Infrared_7.raw"), infrared / 255)
    sample = FolderFrames(tmp_path)[0]
    assert sample["noisy"].shape == (1, *size[::-1]) and sample["infrared"].max() > 0.99 and not sample["mask"].any()
    assert convert_raw(tmp_path, tmp_path / "png") == 2
    assert (cv2.imread(str(tmp_path / "png" / "cam_Depth_7.png"), cv2.IMREAD_UNCHANGED) == depth).all()
    assert (cv2.imread(str(tmp_path / "png" / "cam_Infrared_7.png"), cv2.IMREAD_UNCHANGED) == infrared).all()
    (converted,) = find_frames(tmp_path / "png")
    assert converted.infrared.name == "cam_Infrared_7.png"


def test_a_folder_in_the_original_layout(frame_folder):
    frames = FolderFrames(frame_folder, needs_truth=True)
    assert [frame.name for frame in frames.files] == ["0", "2", "4", "6", "8", "10"]
    sample = check_sample(frames[5])
    assert sample["name"] == "10" and sample["mask"].min() == 1 and sample["infrared"].max() > 0.3
    assert len(set(frames.scenes)) == 6


def test_what_is_wrong_with_a_folder_is_told(tmp_path, frame_folder):
    with pytest.raises(NsrError, match="no such folder"):
        find_frames(tmp_path / "nowhere")
    with pytest.raises(NsrError, match="there are no depth frames in it"):
        find_frames(tmp_path)
    write_depth_png(tmp_path / "res-1.png", np.ones((20, 30)))
    with pytest.raises(NsrError, match="res-1.png: there is no true depth beside it"):
        FolderFrames(tmp_path, needs_truth=True)
    write_depth_png(tmp_path / "gt-1.png", np.ones((20, 31)))
    with pytest.raises(NsrError, match=r"gt-1.png: is 31x20, but res-1.png is 30x20"):
        FolderFrames(tmp_path)[0]
    write_depth_png(tmp_path / "res-1.png", np.zeros((20, 31)))
    with pytest.raises(NsrError, match="res-1.png: nothing is measured"):
        FolderFrames(tmp_path)[0]
    write_pixels(tmp_path / "res-1.png", np.ones((20, 31), np.uint8))
    with pytest.raises(NsrError, match="res-1.png: depth is a grey 16-bit PNG.*has 8 bits and 1 channel"):
        FolderFrames(tmp_path)[0]
    (tmp_path / "res-1.png").write_bytes(b"no picture")
    with pytest.raises(NsrError, match="res-1.png: not a picture, or damaged"):
        FolderFrames(tmp_path)[0]


def test_raw_dumps_of_other_sizes_are_refused_and_nothing_is_written(tmp_path):
    np.zeros((480, 640), np.uint16).tofile(tmp_path / "a_Depth.raw")
    np.zeros(1000, np.uint16).tofile(tmp_path / "b_Depth.raw")
    with pytest.raises(NsrError, match="b_Depth.raw: 2000 bytes are no raw frame of 16 bits"):
        convert_raw(tmp_path, tmp_path / "png")
    assert not (tmp_path / "png").exists()
    with pytest.raises(NsrError, match=r"there are no \*.raw dumps"):
        convert_raw(tmp_path / "png", tmp_path / "out")


def test_background_erosion_and_holes(frame_folder):
    frames = FolderFrames(frame_folder)
    plain = frames[0]
    near = Prepared(frames, background=1.0)[0]
    assert near["noisy"].max() <= 1 and near["mask"].sum() == (plain["depth"] <= 1).sum() > 0
    assert torch.equal(near["beyond"] > 0, plain["noisy"] > 1)
    without = Prepared(frames, holes_count=False)[0]
    assert torch.equal(without["mask"] > 0, plain["noisy"] > 0)
    eroded = Prepared(frames, erode=1)[0]["noisy"] > 0
    hole = plain["noisy"] <= 0
    grown = torch.nn.functional.max_pool2d(hole.float(), 3, 1, 1) > 0
    assert torch.equal(eroded, ~grown)


def test_the_living_room_through_a_simulated_camera(monkeypatch):
    if not os.environ.get("NSR_DATA"):
        pytest.skip("NSR_DATA is not set")
    frames = LivingRoom(2, seed=0)
    sample = check_sample(frames[1])
    assert sample["noisy"].shape == (1, 480, 640) and sample["mask"].mean() > 0.9
    both = (sample["noisy"] > 0) & (sample["mask"] > 0)
    assert 0.5 < both.float().mean() < 1
    monkeypatch.delenv("NSR_DATA")
    with pytest.raises(NsrError, match="--data real: set the environment variable NSR_DATA"):
        LivingRoom(2, seed=0)
