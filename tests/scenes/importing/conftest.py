"""A scene as other programs would have it: pictures on disk, cameras in world coordinates without skew."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import load_scene

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass
class Capture:
    """Eight photographs of the textured sphere.

    Attributes:
        intrinsics: ``[8, 3, 3]``, pixel (0, 0) the first one's centre; poses: ``[8, 4, 4]`` camera to world, OpenCV.
        centre, radius: of the sphere in the world.
        pictures, masks: the pixels; names: of the files, in the order of the views.
    """

    intrinsics: np.ndarray
    poses: np.ndarray
    centre: np.ndarray
    radius: float
    pictures: list[np.ndarray]
    masks: list[np.ndarray]
    names: list[str]

    def save(self, folder: Path, alpha: bool = False) -> Path:
        """Write the photographs to a folder, with the masks as alpha if asked for."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture, mask in zip(self.names, self.pictures, self.masks, strict=True):
            pixels = np.dstack([picture, mask.astype(np.uint8) * 255]) if alpha else picture
            Image.fromarray(pixels).save(folder / name)
        return folder

    def save_masks(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, mask in zip(self.names, self.masks, strict=True):
            Image.fromarray(mask).save(folder / name)
        return folder

    def surface_points(self, count: int = 30) -> np.ndarray:
        """``[N, 3]`` on the sphere, world coordinates."""
        directions = np.random.default_rng(0).normal(size=(count, 3))
        return self.centre + self.radius * directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def project(self, view: int, points: np.ndarray) -> np.ndarray:
        """``[N, 2]`` pixels of world points."""
        pose = self.poses[view]
        pixels = (points - pose[:3, 3]) @ pose[:3, :3] @ self.intrinsics[view].T
        return pixels[:, :2] / pixels[:, 2:]

    def assert_imported(self, folder: Path, tolerance: float = 1e-6) -> None:
        """The scene in ``folder`` has these pictures and masks, sees world points where this capture sees them, and
        has the sphere snugly in its unit sphere."""
        scene = load_scene(folder, heldout_every=0)
        assert len(scene) == len(self.names)
        points = self.surface_points()
        with np.load(folder / "cameras.npz") as archive:
            for view in range(len(scene)):
                homogeneous = points @ archive[f"world_mat_{view}"][:3, :3].T + archive[f"world_mat_{view}"][:3, 3]
                assert (homogeneous[:, 2] > 0).all()
                pixels = homogeneous[:, :2] / homogeneous[:, 2:]
                np.testing.assert_allclose(pixels, self.project(view, points), atol=tolerance)
        for view, (picture, mask) in enumerate(zip(self.pictures, self.masks, strict=True)):
            np.testing.assert_array_equal(scene.images[view].numpy(), picture)
            np.testing.assert_array_equal(scene.masks[view].numpy(), mask)
        reach = np.linalg.norm(scene.to_normalised(points), axis=1)
        assert 0.6 < reach.max() <= 1


@pytest.fixture(scope="session")
def capture(sphere_truth) -> Capture:
    """Every view has its own focal length and an off-centre principal point."""
    intrinsics = sphere_truth.cameras.intrinsics.clone()
    intrinsics[:, 0, 1] = 0
    truth = dataclasses.replace(sphere_truth, cameras=Cameras(intrinsics, sphere_truth.cameras.poses))
    pictures, masks = zip(*(truth.render(view) for view in range(8)), strict=True)
    scale = truth.scale_mat[0, 0]
    poses = truth.cameras.poses.numpy().copy()
    poses[:, :3, 3] = poses[:, :3, 3] * scale + truth.scale_mat[:3, 3]
    names = [f"bild {view}é.png" for view in range(8)]
    return Capture(
        intrinsics.numpy(), poses, truth.scale_mat[:3, 3], scale * truth.radius, list(pictures), list(masks), names
    )


@pytest.fixture
def transforms_folder(capture, tmp_path) -> Path:
    """The capture as nerfstudio has it, with intrinsics per frame and alpha."""
    folder = tmp_path / "of nerfstudio"
    capture.save(folder / "images", alpha=True)
    frames = []
    for name, intrinsics, pose in zip(capture.names, capture.intrinsics, capture.poses, strict=True):
        frame = {"file_path": f"./images/{name}", "transform_matrix": (pose @ OPENGL).tolist()}
        frame |= {"fl_x": intrinsics[0, 0], "fl_y": intrinsics[1, 1], "w": 64, "h": 48}
        frame |= {"cx": intrinsics[0, 2] + 0.5, "cy": intrinsics[1, 2] + 0.5}
        frames.append(frame)
    (folder / "transforms.json").write_text(json.dumps({"camera_model": "OPENCV", "frames": frames}))
    return folder
