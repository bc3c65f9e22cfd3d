"""Depth maps as point clouds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.rig import Rig


def write_point_cloud(
    path: str | Path, depth: np.ndarray, mask: np.ndarray, rig: Rig, *, normals: bool = False
) -> None:
    """Write the points of a depth map as a binary PLY, which appears whole or not at all.

    Args:
        depth: ``[H, W]`` z-depth in metres; mask: ``[H, W]`` bool, which pixels become points.
        rig: of the camera.
        normals: write unit normals too, towards the camera.

    Points are in metres in the camera's frame: x right, y down, z forward.

    Raises:
        NsrError: the mask is empty.
    """
    path = Path(path)
    if not mask.any():
        raise NsrError(f"{path}: not written: the mask leaves no point")
    filled = np.where(mask, depth, depth[mask].mean())
    points = rig.points(filled)[mask]
    cloud = trimesh.Trimesh(points, vertex_normals=rig.normals(filled)[mask] if normals else None, process=False)
    with whole_file(path) as partial:
        partial.write_bytes(cloud.export(file_type="ply", vertex_normal=normals))
