"""Schedules over the run."""

import pytest
from nsr.config.schema import Config
from nsr.schedules import cosine, milestones, ramp
from nsr.training.losses import mask_alpha


def test_milestones_multiply_when_they_are_reached():
    at = [0.5, 0.75]
    assert [milestones(p, at, 0.5) for p in (0, 0.49, 0.5, 0.74, 0.75, 1)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert milestones(1.0, [], 0.5) == 1


def test_a_cosine_runs_from_one_to_its_floor():
    assert cosine(0.0, 0.05) == 1
    assert cosine(1.0, 0.05) == pytest.approx(0.05)
    assert cosine(0.5, 0.05) == pytest.approx(0.525)
    assert cosine(-1.0) == 1 and cosine(2.0) == pytest.approx(0)


def test_a_ramp_ends_where_it_is_told():
    assert [ramp(p, 0.5) for p in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]
    assert ramp(0.0, 0.0) == 1


def test_idrs_alpha_goes_from_50_to_1600():
    config = Config()
    assert [mask_alpha(config, p) for p in (0, 0.124, 0.125, 0.25, 0.375, 0.5, 0.625, 1)] == [
        50, 50, 100, 200, 400, 800, 1600, 1600,
    ]  # fmt: skip


def test_a_ramp_that_starts_late():
    assert [ramp(progress, 0.6, 0.2) for progress in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    assert ramp(0.3, 0.2, 0.2) == 1 and ramp(0.1, 0.2, 0.2) == 0
