"""What the checkpoint that ships promises, on frames that it has not seen."""

import os

import pytest
import torch

from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.evaluation import evaluate_all, mean_figures
from nsr.priors.networks.common.procedural.solids import RenderedSolids
from nsr.priors.networks.common.run_folder import shipped
from nsr.priors.networks.common.samples import InMemory, Subset
from nsr.priors.networks.depth_super_resolution.family import FAMILY
from nsr.priors.networks.depth_super_resolution.real_depth import RealDepth

HELD_OUT_SEED = 1000


@pytest.fixture(scope="module")
def task():
    return task_from_checkpoint(shipped(FAMILY.name), FAMILY)


@pytest.fixture(scope="module")
def held_out():
    return InMemory(RenderedSolids(5, HELD_OUT_SEED))


def of_bicubic(task, frames, factor):
    """RMSE of the result as a part of bicubic interpolation's."""
    task.factor = factor
    with torch.inference_mode():
        means = mean_figures(evaluate_all(task, frames))
    return means["fused_rmse_mm"] / means["bicubic_rmse_mm"]


@pytest.mark.parametrize("factor", [4, 8])
def test_errors_are_at_least_30_percent_below_bicubic_on_held_out_scenes(task, held_out, factor):
    assert of_bicubic(task, held_out, factor) < 0.7


@pytest.mark.parametrize("factor", [4, 8])
@pytest.mark.parametrize("scene", ["motorcycle", "livingroom"])
def test_errors_are_below_bicubic_on_real_depth(task, factor, scene):
    if not os.environ.get("NSR_DATA"):
        pytest.skip("NSR_DATA names no folder with real depth maps")
    frames = RealDepth(2)
    assert of_bicubic(task, Subset(frames, [frames.scenes.index(scene)]), factor) < 0.9
