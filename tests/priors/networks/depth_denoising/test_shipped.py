"""The checkpoint that ships, on frames that it has not seen."""

import os

import numpy as np
import pytest

from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.evaluation import evaluate_all, mean_figures
from nsr.priors.networks.common.run_folder import shipped
from nsr.priors.networks.depth_denoising.family import FAMILY
from nsr.priors.networks.depth_denoising.folders import LivingRoom
from nsr.priors.networks.depth_denoising.simulated import SimulatedFrames


@pytest.fixture(scope="module")
def task():
    return task_from_checkpoint(shipped(FAMILY.name), FAMILY)


def test_half_of_the_error_goes_and_holes_are_filled(task):
    figures = mean_figures(evaluate_all(task, SimulatedFrames(3, seed=1000)))
    assert figures["rmse_mm"] < 0.5 * figures["noisy_rmse_mm"]
    assert figures["rmse_mm"] < min(figures["median_rmse_mm"], figures["bilateral_rmse_mm"])
    assert np.isfinite(figures["hole_rmse_mm"]) and figures["inside_rmse_mm"] < figures["noisy_inside_rmse_mm"]


def test_a_real_room_through_a_simulated_camera(task):
    if not os.environ.get("NSR_DATA"):
        pytest.skip("NSR_DATA is not set")
    figures = mean_figures(evaluate_all(task, LivingRoom(1, seed=1000)))
    assert figures["rmse_mm"] < figures["noisy_rmse_mm"]
    assert figures["rmse_mm"] < min(figures["median_rmse_mm"], figures["bilateral_rmse_mm"])
