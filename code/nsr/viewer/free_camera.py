"""Pictures of a run from a camera that a person moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nsr.evaluation.figures import shaded_surface
from nsr.rendering.image import render_view
from nsr.rendering.pictures import depth_picture, normal_picture
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras
from nsr.scenes.pictures import as_uint8

NOTHING = 1e3  # depth where nothing was hit: beyond all that is drawn


@dataclass(frozen=True)
class FreeCamera:
    """A pinhole camera without skew, its principal point in the middle.

    Attributes:
        wxyz: camera-to-world rotation as a unit quaternion, OpenCV axes.
        position: in the normalised frame.
        fov: vertical field of view, radians.
        aspect: width over height.
    """

    wxyz: tuple[float, float, float, float]
    position: tuple[float, float, float]
    fov: float
    aspect: float

    @classmethod
    def of_view(cls, cameras: Cameras, view: int, size: tuple[int, int]) -> FreeCamera:
        """The nearest to a view's camera: skew and the principal point's offset are left out.

        Args:
            size: height and width of the view's picture.
        """
        intrinsics = cameras.intrinsics[view].detach().cpu().double().numpy()
        pose = cameras.poses[view].detach().cpu().double().numpy()
        height, width = size
        fov = 2 * np.arctan(height / (2 * intrinsics[1, 1]))
        aspect = (width / intrinsics[0, 0]) / (height / intrinsics[1, 1])
        x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
        return cls((w, x, y, z), tuple(pose[:3, 3].tolist()), float(fov), float(aspect))

    def size(self, longest: int) -> tuple[int, int]:
        """Height and width of a picture whose longer side has ``longest`` pixels."""
        width, height = (longest, longest / self.aspect) if self.aspect >= 1 else (longest * self.aspect, longest)
        return max(round(height), 1), max(round(width), 1)

    def cameras(self, size: tuple[int, int], device: torch.device | str = "cpu") -> Cameras:
        """As the one camera of a set, for pictures of ``size`` (height, width)."""
        height, width = size
        focal = height / (2 * np.tan(self.fov / 2))
        intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        w, x, y, z = self.wxyz
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
        pose[:3, 3] = self.position
        both = (torch.from_numpy(matrix).float()[None].to(device) for matrix in (intrinsics, pose))
        return Cameras(*both)


def free_picture(
    renderer: SurfaceRenderer, camera: FreeCamera, mode: str, longest: int, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Trace a picture.

    Args:
        mode: ``colour``, ``normals`` (in the camera's frame), ``depth`` (yellow where the bounding sphere begins, dark
            blue where it ends) or ``shaded`` (grey, lit over the left shoulder).
        longest: pixels of the longer side; radius: of the bounding sphere.

    Returns:
        ``[H, W, 3]`` uint8, white where nothing is hit, and ``[H, W]`` float32 depth along the camera's axis in the
        normalised frame, 1000 where nothing is hit.
    """
    size = camera.size(longest)
    device = next(iter(renderer.parameters())).device
    cameras = camera.cameras(size, device)
    rendered = render_view(renderer, cameras, 0, *size)
    hit, rotation = rendered.hit.cpu().numpy(), cameras.poses[0, :3, :3].cpu().numpy()
    along_ray = rendered.depth.cpu().numpy()
    if mode == "colour":
        picture = as_uint8(rendered.rgb.cpu().numpy())
    elif mode == "normals":
        picture = normal_picture(rendered.normal.cpu().numpy(), hit, rotation)
    elif mode == "depth":
        distance = float(np.linalg.norm(camera.position))
        picture = depth_picture(along_ray, hit, max(distance - radius, 0.0), distance + radius)
    elif mode == "shaded":
        picture = shaded_surface(rendered, rotation)
    else:
        raise ValueError(f"unknown mode {mode!r}")
    return picture, np.where(hit, along_ray * _cosines(cameras, size), NOTHING).astype(np.float32)


def _cosines(cameras: Cameras, size: tuple[int, int]) -> np.ndarray:
    """``[H, W]`` cosine of each pixel's ray and the camera's axis."""
    intrinsics = cameras.intrinsics[0].cpu().numpy()
    x = (np.arange(size[1]) - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (np.arange(size[0]) - intrinsics[1, 2]) / intrinsics[1, 1]
    return 1 / np.sqrt(1 + x[None] ** 2 + y[:, None] ** 2)
