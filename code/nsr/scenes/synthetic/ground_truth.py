"""The exact quantities behind the views of a synthetic scene, read back from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.depth_map import pixels_at_depth_one

GROUND_TRUTH_FOLDER = "ground_truth"
VIEW_FOLDER = "views"


@dataclass(frozen=True)
class ViewTruth:
    """One view's truth as ``make_scene`` writes it, with its camera.

    Attributes:
        depth: ``[H, W]`` float32 z-depth, world units, of the ray through the pixel's centre; 0 where it meets nothing.
        normal: ``[H, W, 3]`` float32 unit, outward, world frame, of the same ray; 0 likewise.
        albedo, shading: ``[H, W, 3]`` float32 linear, means over the pixel's seen part.
        coverage: ``[H, W]`` float32, the object's part of the pixel.
        intrinsics: ``[3, 3]``; pose: ``[4, 4]`` camera to the normalised frame, which is turned as the world is.
    """

    depth: np.ndarray
    normal: np.ndarray
    albedo: np.ndarray
    shading: np.ndarray
    coverage: np.ndarray
    intrinsics: np.ndarray
    pose: np.ndarray

    @staticmethod
    def read(path: Path, intrinsics: np.ndarray, pose: np.ndarray) -> ViewTruth:
        """Read ``ground_truth/views/NNN.npz``.

        Raises:
            SceneError: it cannot be read, or something is missing in it.
        """
        names = ("depth", "normal", "albedo", "shading", "coverage")
        try:
            with np.load(path) as file:
                maps = [file[name].astype(np.float32) for name in names]
        except (OSError, ValueError, KeyError) as error:
            raise SceneError(f"{path}: is not a synthetic scene's truth of a view ({error})") from error
        return ViewTruth(*maps, intrinsics, pose)

    def directions(self) -> np.ndarray:
        """``[H, W, 3]`` from the camera through each pixel's centre, in its frame, with z = 1."""
        return pixels_at_depth_one(self.intrinsics, self.depth.shape)

    def cosine(self) -> np.ndarray:
        """``[H, W]`` between normal and the way to the camera, 0 where there is nothing."""
        rays = self.directions() @ self.pose[:3, :3].T
        return -(self.normal * rays).sum(-1) / np.linalg.norm(rays, axis=-1)


def list_truth(folder: str | Path) -> list[Path]:
    """The truth's files of a scene folder, one a view, in order.

    Raises:
        SceneError: the scene has none: it is not a synthetic one.
    """
    files = sorted((Path(folder) / GROUND_TRUTH_FOLDER / VIEW_FOLDER).glob("*.npz"))
    if not files:
        raise SceneError(
            f"{folder}: has no {GROUND_TRUTH_FOLDER}/{VIEW_FOLDER}/; only synthetic scenes (nsr scene make) know the "
            "truth"
        )
    return files
