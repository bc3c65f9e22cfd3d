"""Middlebury's parameter files, and the real dinosaur from raw files to a scene by the command alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from nsr.cli.main import main
from nsr.errors import SceneError
from nsr.scenes.check import check_scene
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.importing.import_scene import ImportOptions, import_scene
from nsr.scenes.importing.middlebury import read_middlebury


@pytest.fixture
def ring(capture):
    """The format has no names with spaces."""
    return dataclasses.replace(capture, names=[f"ring{view}.png" for view in range(8)])


@pytest.fixture
def par_folder(ring, tmp_path):
    folder = ring.save(tmp_path / "ring")
    lines = ["8"]
    for name, k, pose in zip(ring.names, ring.intrinsics, ring.poses, strict=True):
        entries = [*k.ravel(), *pose[:3, :3].T.ravel(), *(-pose[:3, :3].T @ pose[:3, 3])]
        lines.append(" ".join([name, *(f"{entry:.17g}" for entry in entries)]))
    (folder / "ring_par.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_projections_are_taken_as_they_are(par_folder, ring, tmp_path):
    options = ImportOptions(masks=ring.save_masks(tmp_path / "masks"))
    import_scene(par_folder, tmp_path / "scene", options)
    ring.assert_imported(tmp_path / "scene")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "announces 8 cameras but has 7"),
        (lambda lines: [*lines[:-1], lines[-1].rsplit(" ", 1)[0]], "must have 21 finite numbers.*it has 20"),
        (lambda lines: ["eight", *lines[1:]], "first line must be the number of photographs"),
        (lambda lines: [*lines[:-1], lines[-1] + "x"], "the others cameras"),
    ],
)
def test_bad_parameter_files(par_folder, change, message):
    path = par_folder / "ring_par.txt"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(SceneError, match=message):
        read_middlebury(par_folder)


def test_the_dinosaur_by_the_command_alone(data_root, tmp_path, capsys):
    """The recipe of its README; the box there, which is tight, is the judge of the unit sphere."""
    target = tmp_path / "dino"
    recipe = ["--masks", "threshold", "--threshold", "0.19", "--dilate", "10", "--erode", "10"]
    assert main(["scene", "import", str(data_root / "dino"), str(target), *recipe]) == 0
    assert "16 views from middlebury" in capsys.readouterr().out
    report = check_scene(target)
    assert report.ok and not report.warnings
    scene = load_scene(target)
    low, high = np.array([-0.061897, -0.018874, -0.057845]), np.array([0.010897, 0.068227, 0.015495])
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (high - low) + low
    assert np.linalg.norm(scene.to_normalised((low + high)[None] / 2)) < 0.15
    assert 0.9 < np.linalg.norm(scene.to_normalised(corners), axis=1).max() < 1.3
    for mask in scene.masks:  # shadows left no hole
        assert ndimage.label(~mask.numpy())[1] <= 3 and ndimage.label(mask.numpy())[1] == 1
