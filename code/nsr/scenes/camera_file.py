"""Camera files: an npz with ``world_mat_i`` and ``scale_mat_i`` per view."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_file
from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras, decompose_projection, projection_matrices

SCALE_TOLERANCE = 1e-6  # relative; between the scale_mat of views
# What np.load raises on damaged files; AttributeError and TypeError where a plain .npy gives an array and no archive,
# RuntimeError where damaged flags ask for a password or for an unknown compression.
_DAMAGE = (OSError, ValueError, TypeError, EOFError, AttributeError, RuntimeError)


@dataclass
class CameraFile:
    """The matrices of a camera file.

    Attributes:
        path: where it was read from.
        world_mats: view -> ``[4, 4]`` float64, K [R | t] from world coordinates to pixels, last row 0 0 0 1.
        scale_mats: view -> ``[4, 4]`` float64 similarity from the normalised frame to world coordinates.
    """

    path: Path
    world_mats: dict[int, np.ndarray]
    scale_mats: dict[int, np.ndarray]

    def problems(self, count: int) -> list[str]:
        """Everything that keeps the first ``count`` views from having a camera, one line each."""
        lines = []
        for key, matrices in (("world_mat", self.world_mats), ("scale_mat", self.scale_mats)):
            missing = [view for view in range(count) if view not in matrices]
            if len(missing) == count:
                lines.append(f"{self.path}: it has no {key}_i at all; each view needs world_mat_i and scale_mat_i")
            elif missing:
                shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
                lines.append(
                    f"{self.path}: no {key} for view{'s' * (len(missing) > 1)} {shown} of {count}; "
                    "give every image a camera or take those images and masks away"
                )
        for view in range(count):
            try:
                if view in self.world_mats and view in self.scale_mats:
                    self.decompose(view)
            except SceneError as error:
                lines.append(str(error))
        scales = {view: self.scale_mats[view] for view in range(count) if view in self.scale_mats}
        usable = [view for view, matrix in scales.items() if matrix.shape == (4, 4) and np.isfinite(matrix).all()]
        if usable and not _is_similarity(scales[usable[0]]):
            lines.append(
                f"{self.path}: scale_mat_{usable[0]} stretches or mirrors the scene; it must be a rotation times one "
                "positive scale, and a shift, with last row 0 0 0 1"
            )
        for view in usable[1:]:
            difference = np.abs(scales[view] - scales[usable[0]]).max() / np.abs(scales[usable[0]]).max()
            if difference > SCALE_TOLERANCE:
                lines.append(
                    f"{self.path}: scale_mat_{view} differs from scale_mat_{usable[0]} (by {difference:.1e} relative); "
                    "all views of a scene must share one scale_mat"
                )
                break
        return lines

    def surplus(self, count: int) -> str | None:
        """A warning when there are more cameras than the ``count`` views, else None."""
        if not any(view >= count for view in self.world_mats):
            return None
        return (
            f"{self.path}: {len(self.world_mats)} cameras but {count} view{'s' * (count != 1)}; images and cameras are "
            "paired by sorted order, so check that no image was taken away from the middle"
        )

    def decompose(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """Intrinsics ``[3, 3]`` and pose ``[4, 4]`` (camera to normalised frame) of one view, float64.

        Raises:
            SceneError: NaN, singular or of the wrong shape.
        """
        for key, matrix in ((f"world_mat_{view}", self.world_mats[view]), (f"scale_mat_{view}", self.scale_mats[view])):
            _require_matrix(self.path, key, matrix)
        return decompose_projection(self.world_mats[view] @ self.scale_mats[view])

    def cameras(self, count: int) -> tuple[Cameras, np.ndarray]:
        """The cameras of the first ``count`` views (float64, normalised frame) and their common ``scale_mat``.

        IDR reads a ``scale_mat`` per view; a scene here has one normalised frame, so views that differ are refused.

        Raises:
            SceneError: the first of ``problems``, if there is any.
        """
        for problem in self.problems(count):
            raise SceneError(problem)
        intrinsics, poses = zip(*(self.decompose(view) for view in range(count)), strict=True)
        return Cameras(torch.from_numpy(np.stack(intrinsics)), torch.from_numpy(np.stack(poses))), self.scale_mats[0]


def read_camera_file(path: str | Path) -> CameraFile:
    """Read an npz of ``world_mat_i`` and ``scale_mat_i``; other keys are left alone.

    Raises:
        SceneError: there is no such file, or it is damaged or something else than an npz.
    """
    path = Path(path)
    if not path.is_file():
        raise SceneError(f"{path}: there is no such camera file")
    matrices: dict[str, dict[int, np.ndarray]] = {"world_mat": {}, "scale_mat": {}}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                match = re.fullmatch(r"(world_mat|scale_mat)_(\d+)", key)
                if match:
                    matrices[match[1]][int(match[2])] = np.asarray(archive[key], dtype=np.float64)
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        raise SceneError(f"{path}: not an npz of camera matrices, or damaged; copy or make it again") from error
    return CameraFile(path, matrices["world_mat"], matrices["scale_mat"])


def write_camera_file(path: str | Path, cameras: Cameras, scale_mat: np.ndarray) -> None:
    """Write cameras as an npz that IDR and ``read_camera_file`` read.

    Args:
        path: the npz; appears whole or not at all.
        cameras: in the normalised frame.
        scale_mat: ``[4, 4]`` similarity, normalised to world.
    """
    scale_mat = np.asarray(scale_mat, dtype=np.float64)
    scale = np.cbrt(np.linalg.det(scale_mat[:3, :3]))
    poses = torch.as_tensor(scale_mat) @ cameras.poses.detach().cpu().double()
    poses[:, :3, :3] /= scale  # a rotation again, so that world_mat is K [R | t] in world units
    world_mats = projection_matrices(cameras.intrinsics.detach().cpu().double(), poses).numpy()
    arrays = {}
    for view, world_mat in enumerate(world_mats):
        arrays[f"world_mat_{view}"] = world_mat
        arrays[f"scale_mat_{view}"] = scale_mat
    try:
        with whole_file(path) as partial:
            np.savez(partial, **arrays)
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror or error})") from error


def _require_matrix(path: Path, key: str, matrix: np.ndarray) -> None:
    if matrix.shape != (4, 4):
        shape = " x ".join(map(str, matrix.shape)) or "a single number"
        raise SceneError(f"{path}: {key} is {shape}; it must be 4 x 4")
    if not np.isfinite(matrix).all():
        raise SceneError(f"{path}: {key} has NaN or infinite entries")
    if np.linalg.cond(matrix[:3, :3]) > 1e12:
        raise SceneError(f"{path}: {key} is singular: its left 3 x 3 block has no inverse")


def _is_similarity(matrix: np.ndarray) -> bool:
    """Distances of the normalised frame become world units by one factor, so it must be the same along all axes."""
    linear = matrix[:3, :3]
    scale = np.cbrt(np.linalg.det(linear))
    stretched = scale <= 0 or np.abs(linear.T @ linear / scale**2 - np.eye(3)).max() > 1e-3
    return not stretched and bool(np.abs(matrix[3] - (0, 0, 0, 1)).max() <= 1e-3)
