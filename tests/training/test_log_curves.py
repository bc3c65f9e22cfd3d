"""Curves from real TensorBoard logs."""

import numpy as np
import pytest

from nsr.training.log_curves import Curve, read_curves


def write_log(run, scalars):
    """``scalars``: tag, value, step and time of each entry."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "logs")) as writer:
        for tag, value, step, seconds in scalars:
            writer.add_scalar(tag, value, step, walltime=1e9 + seconds)


def test_every_tag_comes_with_its_steps_and_the_time_since_the_log_began(tmp_path):
    write_log(tmp_path, [("loss/rgb", 0.5, 20, 3.0), ("train/psnr", 12.0, 20, 3.0), ("loss/rgb", 0.25, 40, 9.0)])
    curves = read_curves(tmp_path)
    assert list(curves) == ["loss/rgb", "train/psnr"]
    assert curves["loss/rgb"].steps.tolist() == [20, 40]
    assert curves["loss/rgb"].seconds.tolist() == [0, 6]
    assert curves["loss/rgb"].values.tolist() == [0.5, 0.25]


def test_a_log_that_was_cut_is_read_as_far_as_it_goes(tmp_path):
    write_log(tmp_path, [("loss/rgb", 1.0 / (step + 1), step, step) for step in range(50)])
    (log,) = (tmp_path / "logs").iterdir()
    log.write_bytes(log.read_bytes()[:-9])
    assert read_curves(tmp_path)["loss/rgb"].steps.tolist() == list(range(49))


def test_without_a_log_there_are_no_curves(tmp_path):
    assert read_curves(tmp_path) == {}
    (tmp_path / "logs").mkdir()
    assert read_curves(tmp_path) == {}


def test_a_long_curve_becomes_means_of_neighbours():
    curve = Curve(np.arange(7.0), 10 * np.arange(7.0), np.array([1.0, 3, 5, 7, 9, 11, 2]))
    thin = curve.thinned(3)
    assert thin.steps.tolist() == [1, 4, 6]
    assert thin.seconds.tolist() == [10, 40, 60]
    assert thin.values.tolist() == pytest.approx([3, 9, 2])
    assert curve.thinned(7) is curve
