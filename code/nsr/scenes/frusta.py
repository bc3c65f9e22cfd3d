"""Cameras as they are drawn: pyramids from the centre through the corners of the picture."""

from __future__ import annotations

import numpy as np

from nsr.scenes.cameras import Cameras


def frustum_line(cameras: Cameras, view: int, size: tuple[int, int], length: float) -> np.ndarray:
    """One camera as a single line, ended by NaN so that the lines of several do not join.

    Args:
        view: which; size: height and width of its picture; length: of the pyramid along the optical axis.

    Returns:
        ``[M, 3]`` points in the frame of the poses.
    """
    height, width = size
    pose = cameras.poses[view].detach().cpu().double().numpy()
    intrinsics = cameras.intrinsics[view].detach().cpu().double().numpy()
    left, top, right, bottom = -0.5, -0.5, width - 0.5, height - 0.5
    corners = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]])
    in_camera = np.linalg.solve(intrinsics, corners.T).T * length
    a, b, c, d = in_camera @ pose[:3, :3].T + pose[:3, 3]
    centre = pose[:3, 3]
    return np.stack([a, b, c, d, a, centre, b, c, centre, d, np.full(3, np.nan)])


def viewpoint(cameras: Cameras, views: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """From which side to look at a drawing first, and which way is up: unit vectors in the frame of the poses.

    The side is the first camera's of ``views``, and up is against the mean of their pictures' downward axes.
    """
    centre = cameras.centres[views[0]].detach().cpu().double().numpy()
    up = -cameras.poses[views, :3, 1].detach().cpu().double().numpy().mean(axis=0)
    return centre / max(np.linalg.norm(centre), 1e-9), up / max(np.linalg.norm(up), 1e-9)
