"""What cameras see of a mesh: depth at pixels, silhouettes, and whether points are in sight.

Rays are cast with Embree where ``embreex`` is installed.  Without it the surface is drawn as a dense cloud of points
into depth images, which answers the same questions nearly as well.
"""

from __future__ import annotations

import numpy as np
import torch
import trimesh

from nsr.errors import NsrError
from nsr.scenes.cameras import Cameras
from nsr.scenes.synthetic.ray_casting import TriangleCaster, embree_is_installed

SEEN_BY = 2  # cameras that must see a point before it counts


def surface_viewer(mesh: trimesh.Trimesh) -> EmbreeViewer | PointViewer:
    """The best viewer of a mesh that is installed.

    Raises:
        NsrError: the mesh has no faces.
    """
    if len(mesh.faces) == 0:
        raise NsrError("nothing can be seen of a mesh without faces")
    return EmbreeViewer(mesh) if embree_is_installed() else PointViewer(mesh)


class EmbreeViewer:
    """Casts rays at a mesh with Embree (float32)."""

    def __init__(self, mesh: trimesh.Trimesh):
        self.caster = TriangleCaster(np.asarray(mesh.vertices), np.asarray(mesh.faces))
        self.vertices = mesh.vertices
        self.slack = 1e-5 * float(np.abs(mesh.bounds).max())

    def depth(self, cameras: Cameras, view: int, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """z-depth ``[N]`` of the first surface behind pixels ``[N, 2]`` (u, v) of a ``size`` (H, W) image; 0: none."""
        which = torch.full((len(pixels),), view, dtype=torch.long)
        origins, directions = cameras.rays(which, torch.as_tensor(pixels, dtype=cameras.poses.dtype))
        along = self.caster.first_hit(origins, directions)[0]
        forward = directions @ cameras.poses[view, :3, 2]
        return torch.where(along.isfinite(), along * forward, 0.0).numpy()

    def in_sight(self, cameras: Cameras, view: int, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Which points ``[N, 3]`` on the surface a camera sees: inside its ``size`` (H, W) frame and not hidden."""
        _, depth, inside = project(cameras, view, points, size)
        centre = cameras.centres[view].numpy()
        offsets = points[inside] - centre
        away = np.linalg.norm(offsets, axis=1)
        origins = np.broadcast_to(centre, offsets.shape)
        along, _ = self.caster.first_hit(torch.from_numpy(origins.copy()), torch.from_numpy(offsets / away[:, None]))
        seen = np.zeros(len(points), dtype=bool)
        seen[inside] = along.numpy() >= away - self.slack - 1e-5 * away
        return seen

    def silhouette(self, cameras: Cameras, view: int, size: tuple[int, int]) -> np.ndarray:
        """``[H, W]`` bool: which pixel centres of a ``size`` image the mesh covers."""
        covered = np.zeros(size, dtype=bool)
        window = _projected_window(cameras, view, self.vertices, size)
        if window is None:
            return covered
        rows, columns = window
        v, u = np.mgrid[rows, columns]
        pixels = np.stack([u.ravel(), v.ravel()], axis=-1)
        covered[rows, columns] = (self.depth(cameras, view, pixels, size) > 0).reshape(u.shape)
        return covered


class PointViewer:
    """Draws a mesh as a dense, seeded cloud of points into depth images."""

    POINTS = 3_000_000
    SLACK = 8  # cells' footprints: one cell sees a slanted surface at several depths
    POINTS_PER_CELL = 12  # so dense that a cell which the surface covers is as good as never empty

    def __init__(self, mesh: trimesh.Trimesh):
        self.points = trimesh.sample.sample_surface(mesh, self.POINTS, seed=0)[0]
        self.area = float(mesh.area)

    def depth(self, cameras: Cameras, view: int, pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """As ``EmbreeViewer.depth``."""
        image, cell = self._depth_image(cameras, view, size)
        at = np.rint(pixels / cell).astype(np.int64)
        return image[at[:, 1].clip(0, image.shape[0] - 1), at[:, 0].clip(0, image.shape[1] - 1)]

    def in_sight(self, cameras: Cameras, view: int, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """As ``EmbreeViewer.in_sight``."""
        image, cell = self._depth_image(cameras, view, size)
        pixels, depth, inside = project(cameras, view, points, size)
        at = np.rint(pixels[inside] / cell).astype(np.int64)
        front = image[at[:, 1].clip(0, image.shape[0] - 1), at[:, 0].clip(0, image.shape[1] - 1)]
        footprint = depth[inside] / cameras.intrinsics[view, 0, 0].item() * cell
        seen = np.zeros(len(points), dtype=bool)
        seen[inside] = (front == 0) | (depth[inside] <= front + self.SLACK * footprint)
        return seen

    def silhouette(self, cameras: Cameras, view: int, size: tuple[int, int]) -> np.ndarray:
        """As ``EmbreeViewer.silhouette``."""
        v, u = np.mgrid[: size[0], : size[1]]
        pixels = np.stack([u.ravel(), v.ravel()], axis=-1)
        return (self.depth(cameras, view, pixels, size) > 0).reshape(size)

    def _depth_image(self, cameras: Cameras, view: int, size: tuple[int, int]) -> tuple[np.ndarray, float]:
        """Least z-depth of the cloud in square cells, 0 where there is none, and a cell's width in pixels."""
        pixels, depth, inside = project(cameras, view, self.points, size)
        if not inside.any():
            return np.zeros((1, 1)), float(max(size))
        footprint = np.median(depth[inside]) / cameras.intrinsics[view, 0, 0].item()
        cell = float(np.sqrt(self.POINTS_PER_CELL * self.area / self.POINTS) / footprint)
        shape = (int(np.ceil(size[0] / cell)) + 1, int(np.ceil(size[1] / cell)) + 1)
        at = np.rint(pixels[inside] / cell).astype(np.int64).clip(0, None)
        flat = torch.full((shape[0] * shape[1],), torch.inf, dtype=torch.float64)
        flat.scatter_reduce_(
            0, torch.from_numpy(at[:, 1] * shape[1] + at[:, 0]), torch.from_numpy(depth[inside]), "amin"
        )
        image = flat.reshape(shape).numpy()
        return np.where(np.isfinite(image), image, 0.0), cell


def views_that_see(
    viewer: EmbreeViewer | PointViewer,
    points: np.ndarray,
    cameras: Cameras,
    views: list[int],
    sizes: list[tuple[int, int]],
) -> np.ndarray:
    """How many of ``views`` see each surface point: ``[N]`` counts.

    Args:
        points: ``[N, 3]`` on the viewer's mesh, in the frame of the cameras.
        sizes: (H, W) of every view of ``cameras``.
    """
    count = np.zeros(len(points), dtype=np.int64)
    for view in views:
        count += viewer.in_sight(cameras, view, points, sizes[view])
    return count


def project(
    cameras: Cameras, view: int, points: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels ``[N, 2]`` (u, v), z-depth ``[N]``, and which are in front of the camera and inside its (H, W) frame."""
    pose, intrinsics = cameras.poses[view].double().numpy(), cameras.intrinsics[view].double().numpy()
    in_camera = (points - pose[:3, 3]) @ pose[:3, :3]
    depth = in_camera[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = (in_camera @ intrinsics.T)[:, :2] / depth[:, None]
        inside = (depth > 0) & (pixels >= -0.5).all(axis=1)
        inside &= (pixels[:, 0] < size[1] - 0.5) & (pixels[:, 1] < size[0] - 0.5)
    return pixels, depth, inside


def _projected_window(
    cameras: Cameras, view: int, vertices: np.ndarray, size: tuple[int, int]
) -> tuple[slice, slice] | None:
    """Rows and columns of the image that the vertices reach; None where they reach none."""
    pixels, depth, _ = project(cameras, view, vertices, size)
    if (depth <= 0).any():  # a mesh around the camera may appear anywhere
        return slice(0, size[0]), slice(0, size[1])
    low = np.floor(pixels.min(axis=0)).clip(0, None).astype(int)
    high = (np.ceil(pixels.max(axis=0)) + 1).clip(None, [size[1], size[0]]).astype(int)
    if (low >= high).any():
        return None
    return slice(low[1], high[1]), slice(low[0], high[0])
