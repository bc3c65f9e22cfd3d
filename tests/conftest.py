"""Fixtures that several rooms use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import load_scene, write_scene
from nsr.scenes.scene import Scene

SPHERE_RADIUS = 0.6  # normalised units; the sphere is centred
SPHERE_VIEWS = 8
SPHERE_SIZE = (48, 64)  # height, width


def sphere_scale_mat() -> np.ndarray:
    """Normalised to world: not the identity, so that a mix-up of frames shows."""
    scale_mat = np.diag([2.5, 2.5, 2.5, 1.0])
    scale_mat[:3, 3] = (1.0, -2.0, 0.5)
    return scale_mat


def sphere_cameras() -> Cameras:
    """Eight cameras at distance 3 that look at the centre, each with its own intrinsics with skew."""
    poses, intrinsics = [], []
    for view in range(SPHERE_VIEWS):
        azimuth, elevation = 2 * np.pi * view / SPHERE_VIEWS, 0.5 * np.cos(2.4 * view)
        outward = np.array(
            [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)]
        )
        forward = -outward
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        pose[:3, 3] = 3 * outward
        poses.append(pose)
        intrinsics.append([[70.0 + view, 0.8, 31.0 + 0.3 * view], [0, 71.0 - view, 24.0 - 0.2 * view], [0, 0, 1]])
    return Cameras(torch.tensor(np.array(intrinsics)), torch.from_numpy(np.array(poses)))


def render_sphere(cameras: Cameras, view: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and analytic silhouette of the textured sphere, one ray through each pixel's centre."""
    height, width = SPHERE_SIZE
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).double()
    origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
    along = (origins * directions).sum(-1)
    discriminant = along**2 - (origins**2).sum(-1) + SPHERE_RADIUS**2
    mask = discriminant > 0
    points = origins + directions * (-along - discriminant.clamp(min=0).sqrt()).unsqueeze(-1)
    colour = 128 + 90 * torch.sin(8 * points + torch.tensor([0.0, 1.0, 2.0]))
    colour[~mask] = 40
    image = colour.round().to(torch.uint8).reshape(height, width, 3)
    return image.numpy(), mask.reshape(height, width).numpy()


@pytest.fixture(scope="session")
def _sphere_scene_master(tmp_path_factory) -> Path:
    import trimesh

    folder = tmp_path_factory.mktemp("scenes") / "sphere"
    cameras = sphere_cameras()
    images, masks = zip(*(render_sphere(cameras, view) for view in range(SPHERE_VIEWS)), strict=True)
    write_scene(folder, images, masks, cameras, sphere_scale_mat())
    (folder / "ground_truth").mkdir()
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=SPHERE_RADIUS)
    mesh.apply_transform(sphere_scale_mat())
    mesh.export(folder / "ground_truth" / "mesh.ply")
    return folder


@pytest.fixture
def sphere_scene_folder(_sphere_scene_master, tmp_path) -> Path:
    """A scene folder of its own for this test, free to spoil: a textured sphere of radius 0.6 in 8 views of 48x64."""
    return Path(shutil.copytree(_sphere_scene_master, tmp_path / "sphere"))


@pytest.fixture
def sphere_scene(_sphere_scene_master) -> Scene:
    """The scene of ``sphere_scene_folder``, loaded: view 4 is held out."""
    return load_scene(_sphere_scene_master)


@pytest.fixture
def data_root() -> Path:
    """Where real scenes are: the environment variable NSR_DATA."""
    if not os.environ.get("NSR_DATA"):
        pytest.skip("NSR_DATA is not set: real scenes are not here")
    return Path(os.environ["NSR_DATA"])
