"""Smaller copies of scenes."""

from __future__ import annotations

import pytest
import torch

from nsr.errors import SceneError
from nsr.scenes.downscale import downscale_scene
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.perturb import write_perturbed_cameras


def test_a_copy_by_factor_equals_loading_at_that_size(sphere_scene_folder, tmp_path):
    write_perturbed_cameras(sphere_scene_folder, 2.0, 0.01, seed=0)
    downscale_scene(sphere_scene_folder, tmp_path / "half", factor=2)
    for cam_file in (None, "cameras_linear_init.npz"):
        copy = load_scene(tmp_path / "half", cam_file=cam_file)
        loaded = load_scene(sphere_scene_folder, cam_file=cam_file, img_res=(24, 32))
        assert all(torch.equal(a, b) for a, b in zip(copy.images, loaded.images, strict=True))
        assert all(torch.equal(a, b) for a, b in zip(copy.masks, loaded.masks, strict=True))
        torch.testing.assert_close(copy.cameras.intrinsics, loaded.cameras.intrinsics, atol=1e-4, rtol=0)
        torch.testing.assert_close(copy.cameras.poses, loaded.cameras.poses, atol=1e-5, rtol=0)
    assert copy.ground_truth_mesh.read_bytes() == loaded.ground_truth_mesh.read_bytes()


def test_a_scene_never_grows_and_a_failure_leaves_nothing(sphere_scene_folder, tmp_path):
    with pytest.raises(SceneError, match="48x64 to 50x64"):
        downscale_scene(sphere_scene_folder, tmp_path / "new", size=(50, 64))
    with pytest.raises(SceneError, match="0.5 would enlarge"):
        downscale_scene(sphere_scene_folder, tmp_path / "new", factor=0.5)
    with pytest.raises(SceneError, match="cameras.npz is a file or not empty"):
        downscale_scene(sphere_scene_folder, sphere_scene_folder / "cameras.npz", factor=2)
    (sphere_scene_folder / "image" / "007.png").write_bytes(b"broken")
    with pytest.raises(SceneError, match="007.png"):
        downscale_scene(sphere_scene_folder, tmp_path / "new", factor=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sphere"]
    with pytest.raises(ValueError, match="either factor or size"):
        downscale_scene(sphere_scene_folder, tmp_path / "new")
