"""Errors that are known, by a confidence that is known; and the command, on files."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from nsr.cli.main import main
from nsr.errors import PriorError
from nsr.priors.bundle import PriorBundle
from nsr.priors.calibration import calibration

SIZE = (40, 50)


def bundle(**maps):
    return PriorBundle("000", "mug", **{name: np.asarray(values, np.float32) for name, values in maps.items()})


def test_errors_are_found_in_the_bins_of_their_confidence():
    confidence = np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE)
    error = 0.1 * (1 - confidence)
    exact = bundle(depth=np.full(SIZE, 2.0), depth_confidence=np.ones(SIZE))
    prior = bundle(depth=2 + error, depth_confidence=confidence)
    found = calibration({3: prior, 4: prior}, {3: exact, 4: exact, 5: exact})
    assert list(found) == ["depth"] and len(found["depth"]) == 10
    for row in found["depth"]:
        assert row.low < row.confidence <= row.high and row.pixels == pytest.approx(400, abs=4)
        assert row.error == pytest.approx(0.1 * (1 - row.confidence), abs=1e-5)


def test_normals_are_compared_by_angle_and_colours_up_to_a_factor():
    random = np.random.default_rng(0)
    angle = np.radians(10)
    prior, exact = np.zeros((*SIZE, 3)), np.zeros((*SIZE, 3))
    exact[..., 2], prior[..., 1], prior[..., 2] = 1, np.sin(angle), np.cos(angle)
    albedo = random.uniform(0.2, 0.9, (*SIZE, 3))
    sure = np.ones(SIZE)
    known = sure.copy()
    known[0] = 0
    found = calibration(
        {0: bundle(normal=prior, normal_confidence=sure, albedo=albedo * [2.0, 0.5, 1.0], albedo_confidence=sure)},
        {0: bundle(normal=exact, normal_confidence=known, albedo=albedo, albedo_confidence=known)},
    )
    [normals], [colours] = found["normal"], found["albedo"]
    assert normals.error == pytest.approx(10, abs=0.01) and normals.pixels == 39 * 50
    assert colours.error == pytest.approx(0, abs=1e-5)


def test_nothing_in_common_is_an_error():
    prior = bundle(depth=np.ones(SIZE), depth_confidence=np.ones(SIZE))
    affine = replace(prior, depth_kind="affine")
    for truth in ({}, {1: prior}, {0: affine}):
        with pytest.raises(PriorError, match="no map of any kind in common"):
            calibration({0: prior}, truth)


def test_the_command_writes_a_table_and_curves(sphere_scene_folder, write_sphere_bundle, sphere_maps, tmp_path, capsys):
    sure = np.where(np.arange(64) < 32, 0.95, 0.45) * np.ones((48, 1))
    for view in range(8):
        exact = sphere_maps(view)
        write_sphere_bundle(tmp_path / "true", view)
        wrong = 2.5 * exact.z * np.where(sure > 0.5, 1.001, 1.01)
        write_sphere_bundle(tmp_path / "prior", view, depth=wrong, depth_confidence=sure * exact.mask, normal=None)
    assert main(["prior", "calibrate", str(sphere_scene_folder), str(tmp_path / "prior"), str(tmp_path / "true")]) == 0
    assert "confidence 0.9 to 1.0: 0.002" in capsys.readouterr().out
    with open(tmp_path / "prior" / "calibration.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["depth", "depth"]
    unsure, trusted = (float(row["mean error"]) for row in rows)
    assert unsure == pytest.approx(10 * trusted, rel=0.03)
    assert "confidence" in (tmp_path / "prior" / "calibration.html").read_text(encoding="utf-8")
