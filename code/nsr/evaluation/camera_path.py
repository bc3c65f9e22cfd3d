"""Smooth ways for a camera: through chosen views of a scene, or from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from nsr.errors import NsrError
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.cameras import Cameras
from nsr.scenes.resize import resize_intrinsics
from nsr.scenes.scene import Scene

DEFAULT_VIEWS = 4


def path_through_views(cameras: Cameras, views: list[int], frames: int) -> Cameras:
    """A closed path through views and back to the first, smooth all the way round.

    Periodic cubic splines run through the orientations (quaternions, each on its neighbour's side) and through the
    point of each optical axis that is closest to the origin and its distance; a camera that looks at the object at
    all views looks at it between them.

    Args:
        cameras: in the normalised frame; views: at least two, equally far apart in time.
        frames: at least one per view; the first is the first view exactly.

    Returns:
        ``frames`` cameras with the intrinsics of the first view.

    Raises:
        NsrError: too few views or frames, or a view that is not there.
    """
    if len(views) < 2 or any(first == second for first, second in zip(views, [*views[1:], views[0]], strict=True)):
        raise NsrError("a camera path needs two or more different views, and no view twice in a row")
    if frames < len(views):
        raise NsrError(f"a path through {len(views)} views needs at least as many frames, not {frames}")
    absent = [view for view in views if not 0 <= view < len(cameras)]
    if absent:
        raise NsrError(f"there is no view {absent[0]}: the scene has views 0 to {len(cameras) - 1}")
    poses = cameras.poses[[*views, views[0]]].detach().cpu().double().numpy()
    forward, centres = poses[:, :3, 2], poses[:, :3, 3]
    distance = -(forward * centres).sum(axis=1)
    aims = centres + distance[:, None] * forward
    quaternions = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
    for view in range(1, len(quaternions)):
        if quaternions[view] @ quaternions[view - 1] < 0:
            quaternions[view] *= -1
    knots = np.arange(len(poses), dtype=float)
    times = np.linspace(0, len(views), frames, endpoint=False)
    # once round, a quaternion may come back with the opposite sign: then it is periodic in two rounds
    sign = 1 if quaternions[-1] @ quaternions[0] > 0 else -1
    rounds = np.concatenate([quaternions[:-1], sign * quaternions[:-1], quaternions[:1]])
    turned = CubicSpline(np.arange(len(rounds), dtype=float), rounds, bc_type="periodic")(times)
    rotation = Rotation.from_quat(turned).as_matrix()
    aim = CubicSpline(knots, aims, bc_type="periodic")(times)
    away = CubicSpline(knots, distance, bc_type="periodic")(times)
    path = np.tile(np.eye(4), (frames, 1, 1))
    path[:, :3, :3] = rotation
    path[:, :3, 3] = aim - away[:, None] * rotation[:, :, 2]
    intrinsics = cameras.intrinsics[views[:1]].detach().cpu().expand(frames, -1, -1)
    return Cameras(intrinsics.contiguous().float(), torch.from_numpy(path).float())


def path_from_file(path: str | Path, scene: Scene) -> Cameras:
    """One camera per frame from an npz of ``world_mat_i`` and ``scale_mat_i``, i = 0, 1, ...

    World coordinates are the scene's; the file's own ``scale_mat_i`` may differ from it.

    Raises:
        NsrError: the file cannot be read, has no cameras, or leaves a number out.
    """
    file = read_camera_file(path)
    if not file.world_mats:
        raise NsrError(f"{path}: there is no world_mat_i in it")
    cameras, scale_mat = file.cameras(max(file.world_mats) + 1)
    to_scene = np.linalg.inv(scene.scale_mat) @ scale_mat
    poses = torch.from_numpy(to_scene) @ cameras.poses.double()
    poses[:, :3, :3] /= np.cbrt(np.linalg.det(to_scene[:3, :3]))
    return Cameras(cameras.intrinsics.float(), poses.float())


def resized(path: Cameras, size: tuple[int, int], longer: int) -> tuple[Cameras, tuple[int, int]]:
    """The same cameras for frames whose longer side is ``longer`` pixels instead of ``size`` (H, W), and their size."""
    new = tuple(max(1, round(length * longer / max(size))) for length in size)
    intrinsics = torch.from_numpy(resize_intrinsics(path.intrinsics.double().numpy(), size, new))
    return Cameras(intrinsics.to(path.poses.dtype), path.poses), new


def default_views(scene: Scene) -> list[int]:
    """Four training views (or all, where there are fewer), evenly chosen in their order."""
    count = min(DEFAULT_VIEWS, len(scene.train_views))
    return [scene.train_views[len(scene.train_views) * place // count] for place in range(count)]
