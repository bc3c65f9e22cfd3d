"""The checkpoint that ships reaches what its page says, on frames that its training has not seen."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.run_folder import shipped
from nsr.priors.networks.shape_from_shading.family import FAMILY
from nsr.priors.networks.shape_from_shading.generate import Recipe, SyntheticReliefs
from nsr.priors.networks.shape_from_shading.photometric_stereo import PhotometricFolder
from nsr.priors.networks.shape_from_shading.rig import Rig

HELD_OUT = SyntheticReliefs(6, Recipe(), seed=1000)  # with texture, gain, gamma, noise and shadows


@pytest.fixture(scope="module")
def task():
    return task_from_checkpoint(shipped(FAMILY.name), FAMILY)


@pytest.fixture(scope="module")
def results(task):
    """Samples with their predictions, a confidence among them."""
    task.passes = 1
    samples = [HELD_OUT[index] for index in range(len(HELD_OUT))]
    with torch.inference_mode():
        predictions = [task.predict(sample) for sample in samples]
    task.passes = 0
    return list(zip(samples, predictions, strict=True))


def test_it_is_the_network_at_full_width(task):
    assert sum(parameter.numel() for parameter in task.network.parameters()) == 538_129


def test_its_raw_error_is_at_most_two_fifths_of_that_of_the_smooth_depth(task, results):
    figures = [task.measure(prediction, sample) for sample, prediction in results]
    squares = [[row[name] ** 2 for row in figures] for name in ("rmse_mm", "low_rmse_mm")]
    assert np.sqrt(np.mean(squares[0]) / np.mean(squares[1])) <= 0.4
    assert np.mean([row["ratio"] for row in figures]) <= 0.4
    assert all(row["normal_error_degrees"] < row["low_normal_error_degrees"] for row in figures)


def test_its_error_falls_with_its_confidence(results):
    errors, confidences = [], []
    for sample, prediction in results:
        valid = sample["mask"] > 0
        errors.append((prediction["depth"] - sample["depth"])[valid].abs())
        confidences.append(prediction["confidence"][valid])
    error, confidence = torch.cat(errors), torch.cat(confidences)
    least, most = (confidence.quantile(share) for share in (0.25, 0.75))
    assert error[confidence >= most].mean() < 0.9 * error[confidence <= least].mean()


def test_without_a_pattern_it_is_still_better_than_the_smooth_depth(task):
    sample = {name: value for name, value in HELD_OUT[0].items() if name != "pattern"}
    with torch.inference_mode():
        assert task.measure(task.predict(sample), sample)["ratio"] < 0.8


def test_on_a_photographed_object_it_comes_nearer_to_photometric_stereo_than_the_smooth_depth(task):
    root = os.environ.get("NSR_DATA")
    if not root:
        pytest.skip("NSR_DATA names no folder with photometric/cat")
    sample = PhotometricFolder(Path(root) / "photometric" / "cat", Rig(), 24.0)[0]
    with torch.inference_mode():
        figures = task.measure(task.predict(sample), sample)
    assert figures["normal_error_degrees"] < figures["low_normal_error_degrees"]
