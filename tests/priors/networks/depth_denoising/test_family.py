"""The family on the command line, from a folder of frames to depth in 16 bits."""

import csv

import numpy as np
import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.depth_png import write_depth_png
from nsr.priors.networks.depth_denoising.depth_files import read_depth
from nsr.priors.networks.depth_denoising.results import plane_deviations, profile
from nsr.scenes.pictures import read_picture
from nsr.state_file import read_state


def train(nsr, folder, *flags):
    small = ["--data", folder, "--patch", 32, "--stride", 32, "--batch", 8, "--width", 4, "--epoch", 2, "--verbose", 0]
    return nsr("train", *small, *flags)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("network", ["unet", "conv", "autoencoder", "gan"])
def test_each_network_trains_and_denoises(nsr, frame_folder, tmp_path, network):
    assert train(nsr, frame_folder, "--network", network) == 0
    run = tmp_path / "runs" / "depth-denoising" / "default"
    losses = {"absolute_cm"} | ({"adversarial", "real", "fake"} if network == "gan" else set())
    assert losses <= rows(run / "training.csv")[0].keys()
    assert nsr("test", "--data", frame_folder, "--num", 2, "--verbose", 0) == 0
    results = run / f"test_{frame_folder.name}"
    found = rows(results / "metrics.csv")
    assert float(found[0]["rmse_mm"]) < 1.5 * float(found[0]["noisy_rmse_mm"]) and float(found[0]["milliseconds"]) > 0
    assert read_depth(results / "denoised" / "res_denoised-2.png").shape == (64, 96)


def test_training_lowers_the_error(nsr, frame_folder, tmp_path):
    assert train(nsr, frame_folder, "--epoch", 12, "--lr", 0.005) == 0
    history = read_state(tmp_path / "runs" / "depth-denoising" / "default" / "final.pt")["history"]
    assert history[-1]["val_loss"] < 0.85 * history[0]["val_loss"]


def test_profiles_planes_and_films(nsr, frame_folder, tmp_path):
    assert train(nsr, frame_folder) == 0
    flags = ["--data", frame_folder, "--num", 2, "--section", "5,30,90,30", "--plane", "2,2,30,12", "--verbose", 0]
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    film = tmp_path / "film.mp4"
    assert nsr("test", *flags, "--replay", film, "--tile", 48, "--overlap", 16) == 0
    results = tmp_path / "runs" / "depth-denoising" / "default" / f"test_{frame_folder.name}"
    line = rows(results / "section-0.csv")
    assert len(line) == 86 and float(line[50]["true_mm"]) == pytest.approx(700) and int(line[3]["column"]) == 8
    assert read_picture(results / "section-0.png").shape == (520, 900, 3)
    metrics = rows(results / "metrics.csv")
    assert 0 < float(metrics[0]["plane_noisy_rmse_mm"]) < 50 and float(metrics[2]["plane_denoised_rmse_mm"]) > 0
    assert read_picture(results / "plane-2.png").shape[0] > 100
    assert film.stat().st_size > 1000


def test_frames_without_truth_are_denoised(nsr, frame_folder, tmp_path):
    assert train(nsr, frame_folder) == 0
    alone = tmp_path / "mine"
    write_depth_png(alone / "frame.png", read_depth(frame_folder / "res-0.png"))
    assert nsr("test", "--data", alone, "--verbose", 0) == 0
    results = tmp_path / "runs" / "depth-denoising" / "default" / "test_mine"
    (frame, _) = rows(results / "metrics.csv")
    assert 0 < float(frame["holes"]) < 0.5 and "rmse_mm" not in frame
    assert (read_depth(results / "denoised" / "res_denoised-frame.png") > 0).all()


def test_flags_of_the_network_are_kept(nsr, frame_folder, tmp_path, capsys):
    assert (
        train(nsr, frame_folder, "--no-infrared", "--no-hole-mask", "--no-fill-holes", "--erode", 1, "--background", 2)
        == 0
    )
    options = read_state(tmp_path / "runs" / "depth-denoising" / "default" / "final.pt")["options"]
    assert (options["infrared"], options["hole_mask"], options["fill_holes"], options["erode"]) == (
        False,
        False,
        False,
        1,
    )
    assert train(nsr, frame_folder, "--retrain", "--epoch", 3) == 2
    assert "was trained with --infrared, not True; give the same" in capsys.readouterr().err


def test_export(nsr, frame_folder, tmp_path, capsys):
    assert train(nsr, frame_folder) == 0
    assert nsr("export", tmp_path / "d.ts") == 0
    depth = torch.full((1, 1, 32, 32), 1.0)
    out = torch.jit.load(str(tmp_path / "d.ts"))(depth, torch.zeros(1, 1, 32, 32))
    assert (out - 1).abs().max() < 0.1
    assert nsr("export", tmp_path / "d.h5") == 2
    assert "name the file .onnx" in capsys.readouterr().err


def test_raw_dumps_are_prepared(nsr, tmp_path, capsys):
    np.full((480, 640), 900, np.uint16).tofile(tmp_path / "Depth_1.raw")
    assert nsr("prepare", tmp_path, tmp_path / "png") == 0
    assert "1 frames written" in capsys.readouterr().out
    assert np.allclose(read_depth(tmp_path / "png" / "Depth_1.png"), 0.9)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--patch", "40"], "--patch 40 cannot be halved"),
        (["--data", "/nowhere/at/all"], "no such folder of depth frames"),
    ],
)
def test_bad_flags_of_training(nsr, frame_folder, capsys, flags, told):
    assert train(nsr, frame_folder, *flags) == 2
    errors = capsys.readouterr().err
    assert told in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tile", -5], "--tile is -5; it must be at least 0"),
        (["--erode", -1], "--erode is -1; it must be at least 0"),
        (["--background", "nan"], "--background is nan; it must be at least 0"),
        (["--replay", "film.txt"], "--replay film.txt: a film's name ends in .mp4"),
    ],
)
def test_bad_flags_of_a_test(nsr, frame_folder, capsys, flags, told):
    assert train(nsr, frame_folder, "--epoch", 1) == 0
    assert nsr("test", "--data", frame_folder, *flags) == 2
    errors = capsys.readouterr().err
    assert told in errors and errors.count("\n") == 1


def test_background_that_was_taken_out_stays_out(nsr, frame_folder, tmp_path):
    assert train(nsr, frame_folder, "--epoch", 1) == 0
    results = tmp_path / "runs" / "depth-denoising" / "default" / f"test_{frame_folder.name}"
    noisy = read_depth(frame_folder / "res-0.png")
    for farthest in (float(np.median(noisy[noisy > 0])), 0.1):  # which leaves half of it, and nothing
        assert nsr("test", "--data", frame_folder, "--num", 1, "--verbose", 0, "--background", farthest) == 0
        denoised = read_depth(results / "denoised" / "res_denoised-0.png")
        assert ((denoised == 0) == (noisy > farthest)).all()


def test_a_section_or_plane_outside_is_refused(nsr, frame_folder, capsys):
    assert train(nsr, frame_folder, "--epoch", 1) == 0
    for flag, value in (("--section", "0,0,96,10"), ("--plane", "90,2,30,12")):
        assert nsr("test", "--data", frame_folder, "--num", 1, "--verbose", 0, flag, value) == 2
        assert f"{flag} {value} leaves the frame, which is 96x64" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        nsr("test", "--plane", "1,2,3")
    assert "is not four whole numbers" in capsys.readouterr().err


def test_a_plane_is_flat_whatever_the_camera():
    row, column = np.indices((40, 50))
    plane = 1 / (0.8 + 0.002 * column - 0.001 * row)
    assert np.nanmax(np.abs(plane_deviations(plane))) < 1e-9
    random = np.random.default_rng(0)
    noise = 0.003 * random.standard_normal(plane.shape)
    bumpy = plane + noise
    bumpy[3:6, 3:9] = 0
    deviation = plane_deviations(bumpy)
    assert np.isnan(deviation[4, 4]) and np.sqrt(np.nanmean(deviation**2)) == pytest.approx(0.003, rel=0.05)
    with pytest.raises(NsrError, match="next to nothing, is measured"):
        plane_deviations(np.zeros((5, 5)))


def test_a_profile_takes_the_nearest_pixels():
    maps = np.arange(50.0).reshape(5, 10)
    places, values = profile(maps, (0, 0, 8, 4))
    assert places.tolist() == [[i, j] for i, j in zip(range(9), [0, 0, 1, 2, 2, 2, 3, 4, 4])] and values[8] == 48
