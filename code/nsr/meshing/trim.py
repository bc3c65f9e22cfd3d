"""A mesh without what no photograph shows."""

from __future__ import annotations

import numpy as np
import trimesh

from nsr.errors import NsrError
from nsr.meshing.cleanup import keep_faces, significant_components
from nsr.meshing.visibility import surface_viewer, views_that_see
from nsr.scenes.cameras import Cameras


def trim_unseen(
    mesh: trimesh.Trimesh, cameras: Cameras, views: list[int], sizes: list[tuple[int, int]], seen_by: int = 2
) -> trimesh.Trimesh:
    """Leave out the faces whose centres fewer than ``seen_by`` views see, and the crumbs that are left over.

    A view sees a face inside its frame, from outside, and not hidden by the mesh itself.  The result is open where
    faces were taken away.

    Args:
        mesh: in the frame of the cameras; cameras: all; views: those that count; sizes: (H, W) of every camera's view.

    Raises:
        NsrError: ``seen_by`` is not 1 or more, or no face is left.
    """
    if seen_by < 1:
        raise NsrError(f"trimming to what {seen_by} views see: at least 1 is needed")
    cameras = Cameras(cameras.intrinsics.detach().cpu(), cameras.poses.detach().cpu())
    centres, normals = mesh.triangles_center, mesh.face_normals
    viewer = surface_viewer(mesh)
    count = np.zeros(len(centres), dtype=np.int64)
    for view in views:
        towards = cameras.poses[view, :3, 3].double().numpy() - centres
        facing = np.flatnonzero(np.einsum("ij,ij->i", towards, normals) > 0)
        count[facing] += views_that_see(viewer, centres[facing], cameras, [view], sizes)
    kept = count >= seen_by
    if not kept.any():
        raise NsrError(f"no face of the mesh is seen by {seen_by} of the {len(views)} views: nothing is left to keep")
    return significant_components(keep_faces(mesh, kept))
