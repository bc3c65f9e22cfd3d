"""Cameras in another convention are recognised as what they are."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from nsr.cli.main import main
from nsr.scenes.cameras import decompose_projection
from nsr.scenes.check import check_scene
from nsr.scenes.convention_check import CONVENTIONS
from nsr.scenes.explain import explain_scene

FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def rewrite_poses(folder, change, scale_mat=None):
    """Let ``change`` alter every camera-to-world pose of the folder's camera file."""
    with np.load(folder / "cameras.npz") as archive:
        matrices = dict(archive)
    for view in range(8):
        intrinsics, pose = decompose_projection(matrices[f"world_mat_{view}"])
        matrices[f"world_mat_{view}"][:3] = intrinsics @ np.linalg.inv(change(pose))[:3]
        if scale_mat is not None:
            matrices[f"scale_mat_{view}"] = scale_mat
    np.savez(folder / "cameras.npz", **matrices)


def explained(folder):
    report = check_scene(folder)
    explain_scene(report, folder, features=False)
    return report


def test_cameras_that_fit_are_said_to_fit(sphere_scene_folder):
    report = explained(sphere_scene_folder)
    assert report.ok and not report.warnings
    (line,) = [line for line in report.information if "masks and cameras agree" in line]
    assert float(re.search(r"hull (\S+) in the median", line)[1]) > 0.95


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda pose: pose @ FLIP, "axes of OpenGL"),
        (np.linalg.inv, "read as camera-to-world where world-to-camera belongs"),
        (lambda pose: np.linalg.inv(pose @ FLIP), "camera-to-world with OpenGL's axes"),
    ],
)
def test_the_convention_is_named(sphere_scene_folder, change, name):
    rewrite_poses(sphere_scene_folder, change)
    lines = [line for line in explained(sphere_scene_folder).errors if "another convention" in line]
    assert len(lines) == 1 and name in lines[0]


def test_rereading_undoes_the_mistake(sphere_truth):
    poses = sphere_truth.cameras.poses.numpy()
    for convention, mistake in zip(
        CONVENTIONS, (lambda p: p @ FLIP, np.linalg.inv, lambda p: np.linalg.inv(p @ FLIP)), strict=True
    ):
        again = convention.reread(np.stack([mistake(pose) for pose in poses]))
        np.testing.assert_allclose(again, poses, atol=1e-12)


def test_a_scale_mat_that_is_elsewhere(sphere_scene_folder):
    scale_mat = np.diag([2.5, 2.5, 2.5, 1.0])
    scale_mat[:3, 3] = 8.0, -2, 0.5
    rewrite_poses(sphere_scene_folder, lambda pose: pose, scale_mat)
    assert any("scale_mat does not hold the object" in line for line in explained(sphere_scene_folder).errors)


def test_the_view_that_disagrees_is_named(sphere_scene_folder):
    Image.fromarray(np.pad(np.ones((10, 14), dtype=bool), ((36, 2), (2, 48)))).save(
        sphere_scene_folder / "mask" / "005.png"
    )
    warnings = explained(sphere_scene_folder).warnings
    assert any("the mask of view 5 disagrees with the others" in line for line in warnings)
    assert not any(f"mask of view {view} disagrees" in line for view in (0, 1, 2, 3, 4, 6, 7) for line in warnings)


def test_masks_that_are_all_full_judge_nothing(sphere_scene_folder):
    for path in (sphere_scene_folder / "mask").iterdir():
        Image.new("L", (64, 48), 255).save(path)
    assert not any("visual hull" in line for line in explained(sphere_scene_folder).information)


def test_the_command_writes_a_page(sphere_scene_folder, tmp_path, capsys):
    page = tmp_path / "seiten" / "über.html"
    assert main(["scene", "check", str(sphere_scene_folder), "--page", str(page)]) == 0
    assert f"page: {page}" in capsys.readouterr().out
    content = page.read_text(encoding="utf-8")
    assert content.count("<figure>") == content.count("data:image/jpeg;base64,") == 8
    assert "no features match" in content and "scatter3d" in content and "view 3 (003.png)" in content
    assert "http" not in content.split("</script>")[-1]  # the pictures are in the file
    assert main(["scene", "check", str(sphere_scene_folder), "--fast"]) == 0
    assert "visual hull" not in capsys.readouterr().out
    assert main(["scene", "check", str(sphere_scene_folder), "--page"]) == 0
    assert (sphere_scene_folder / "check.html").is_file()
    assert main(["scene", "check", str(sphere_scene_folder), "--fast", "--page"]) == 2


def test_a_scene_that_cannot_be_loaded_is_only_reported(sphere_scene_folder, tmp_path, capsys):
    shutil.rmtree(sphere_scene_folder / "mask")
    assert main(["scene", "check", str(sphere_scene_folder), "--page", str(tmp_path / "a.html")]) == 1
    assert "mask: there is no such folder" in capsys.readouterr().out
    assert not (tmp_path / "a.html").exists()
