"""The slope of a loss, from a real TensorBoard log."""

import numpy as np
import pytest

from nsr.errors import CheckpointError
from nsr.training.loss_curve import LOSS_TAG, loss_slope, write_loss_curve


def log_losses(run, losses):
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "logs")) as writer:
        for step, loss in losses:
            writer.add_scalar(LOSS_TAG, loss, step)


def test_the_slope_is_that_of_the_last_quarter_alone():
    steps = np.arange(0, 2001, 10)
    losses = np.where(steps < 1500, 10.0, 10 - 0.002 * (steps - 1500))
    assert loss_slope(steps, losses) == pytest.approx(-2.0)


def test_the_curve_is_drawn_and_the_slope_told(tmp_path):
    log_losses(tmp_path, [(step, 5 - 0.004 * step) for step in range(0, 1001, 50)])
    (tmp_path / "plots").mkdir()
    line = write_loss_curve(tmp_path, "a run")
    assert line.startswith("loss slope: -4 per 1000 steps over the last quarter (now 1); curve: ")
    assert "a run" in (tmp_path / "plots" / "loss.html").read_text()
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["loss.html"]


def test_a_run_without_a_log_is_an_error(tmp_path):
    (tmp_path / "logs").mkdir()
    with pytest.raises(CheckpointError, match="the log has 0 values of loss/total"):
        write_loss_curve(tmp_path, "a run")
