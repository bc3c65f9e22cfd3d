"""Fixtures that several rooms use."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from nsr.priors.bundle_file import (
    BundleHeader,
    ColourConvention,
    DepthConvention,
    DirectionConvention,
    StoredBundle,
    write_bundle,
)
from nsr.priors.conversion import ViewFrame
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import load_scene, write_scene
from nsr.scenes.scene import Scene


@dataclass
class SphereTruth:
    """What is exactly true of the sphere scene: a textured sphere at the origin, seen by eight cameras.

    Attributes:
        cameras: at distance 3, looking at the centre, each with its own intrinsics with skew; float64.
        scale_mat: normalised to world; not the identity, so that a mix-up of frames shows.
        radius: normalised units.
        size: height and width of the images.
    """

    cameras: Cameras
    scale_mat: np.ndarray
    radius: float = 0.6
    size: tuple[int, int] = (48, 64)

    def render(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """Image ``[H, W, 3]`` uint8 and analytic silhouette ``[H, W]`` bool, one ray through each pixel's centre."""
        v, u = torch.meshgrid(*(torch.arange(length) for length in self.size), indexing="ij")
        pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).double()
        origins, directions = self.cameras.rays(torch.full((len(pixels),), view), pixels)
        along = (origins * directions).sum(-1)
        discriminant = along**2 - (origins**2).sum(-1) + self.radius**2
        mask = discriminant > 0
        points = origins + directions * (-along - discriminant.clamp(min=0).sqrt()).unsqueeze(-1)
        colour = 128 + 90 * torch.sin(8 * points + torch.tensor([0.0, 1.0, 2.0]))
        colour[~mask] = 40
        image = colour.round().to(torch.uint8).reshape(*self.size, 3)
        return image.numpy(), mask.reshape(self.size).numpy()


def _look_at_origin(azimuth: float, elevation: float, distance: float) -> np.ndarray:
    outward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    forward = -outward
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = distance * outward
    return pose


@pytest.fixture(scope="session")
def sphere_truth() -> SphereTruth:
    """The exact sphere, its cameras and its pictures."""
    poses = [_look_at_origin(2 * np.pi * view / 8, 0.5 * np.cos(2.4 * view), 3.0) for view in range(8)]
    intrinsics = [
        [[70.0 + view, 0.8, 31.0 + 0.3 * view], [0, 71.0 - view, 24.0 - 0.2 * view], [0, 0, 1]] for view in range(8)
    ]
    scale_mat = np.diag([2.5, 2.5, 2.5, 1.0])
    scale_mat[:3, 3] = (1.0, -2.0, 0.5)
    return SphereTruth(Cameras(torch.tensor(intrinsics).double(), torch.from_numpy(np.array(poses))), scale_mat)


@pytest.fixture(scope="session")
def _sphere_scene_master(tmp_path_factory, sphere_truth) -> Path:
    import trimesh

    folder = tmp_path_factory.mktemp("scenes") / "sphere"
    images, masks = zip(*(sphere_truth.render(view) for view in range(8)), strict=True)
    write_scene(folder, images, masks, sphere_truth.cameras, sphere_truth.scale_mat)
    (folder / "ground_truth").mkdir()
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=sphere_truth.radius)
    mesh.apply_transform(sphere_truth.scale_mat)
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


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser that draws without a screen."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium to open pages with")
    return browser


@dataclass
class SphereMaps:
    """Of one view: ``z`` along the optical axis and ``ray`` length ``[H, W]`` in the normalised frame (0: nothing),
    ``normal [H, W, 3]`` unit in the normalised frame, ``mask [H, W]``."""

    z: np.ndarray
    ray: np.ndarray
    normal: np.ndarray
    mask: np.ndarray
    frame: ViewFrame


@pytest.fixture(scope="session")
def sphere_maps(sphere_truth):
    """view -> its exact maps."""

    def maps(view: int) -> SphereMaps:
        height, width = sphere_truth.size
        cameras = sphere_truth.cameras
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).double()
        origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
        along = (origins * directions).sum(1)
        root = along**2 - (origins**2).sum(1) + sphere_truth.radius**2
        mask = root > 0
        ray = torch.where(mask, -along - root.clamp_min(0).sqrt(), 0)
        points = origins + ray.unsqueeze(1) * directions
        normal = torch.where(mask.unsqueeze(1), points / sphere_truth.radius, 0)
        _, depth = cameras.project(torch.full((len(pixels),), view), points)
        z = torch.where(mask, depth, 0)
        frame = ViewFrame(
            cameras.intrinsics[view].numpy(), cameras.poses[view].numpy(), sphere_truth.scale_mat, sphere_truth.size
        )
        z, ray, mask = (values.view(height, width).numpy() for values in (z, ray, mask))
        return SphereMaps(z, ray, normal.view(height, width, 3).numpy(), mask, frame)

    return maps


@pytest.fixture(scope="session")
def write_sphere_bundle(sphere_maps):
    """``write(folder, index, **changes)``: the exact bundle of the sphere scene's view ``index``, in world units.

    ``changes`` replace arrays (None: left out), the header's scene, view, width or height, or a convention:
    ``depth_convention`` and so on.
    """

    def write(folder, index, **changes):
        exact = sphere_maps(index)
        height, width = exact.frame.size
        entries = {
            "scene": "sphere",
            "view": f"{index:03d}",
            "width": width,
            "height": height,
            "depth": DepthConvention("metric", "scene"),
            "normal": DirectionConvention("world"),
            "albedo": ColourConvention("linear"),
            "shading": ColourConvention("linear"),
            "sh": DirectionConvention("world"),
        }
        arrays = {"depth": 2.5 * exact.z, "normal": exact.normal}
        for name, value in changes.items():
            of_header = name.removesuffix("_convention")
            if of_header != name or name in ("scene", "view", "width", "height"):
                entries[of_header] = value
            else:
                arrays[name] = value
        arrays = {name: values for name, values in arrays.items() if values is not None}
        return write_bundle(folder, StoredBundle(BundleHeader(**entries), arrays))

    return write
