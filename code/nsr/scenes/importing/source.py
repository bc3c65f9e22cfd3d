"""``Source``: what every reader of another program's cameras gives, already in our conventions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.lens import Lens
from nsr.scenes.sparse_points import SparsePoints

OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # camera axes: y up, z backward to y down, z forward
RIGID_TOLERANCE = 1e-2  # of a rotation's entries; files with few digits are made rigid, others are refused


@dataclass
class SourceView:
    """One photograph and its camera.

    Attributes:
        name: of the photograph in the source, for messages and for the order of views.
        image: its file.
        intrinsics: ``[3, 3]`` in pixels of ``size``, pixel (0, 0) the **centre** of the first.
        pose: ``[4, 4]`` camera to the source's world, OpenCV axes.
        size: height and width that the intrinsics are for; None: the file's.
        lens: the distortion; mask: the object's mask where the source has one.
        orientation: EXIF orientation by which the stored pixels are to be turned; None: what the sizes tell.
    """

    name: str
    image: Path
    intrinsics: np.ndarray
    pose: np.ndarray
    size: tuple[int, int] | None = None
    lens: Lens = field(default_factory=Lens)
    mask: Path | None = None
    orientation: int | None = None


@dataclass
class Source:
    """Everything a reader found.

    Attributes:
        format: of the reader, as ``--format`` names it.
        views: in the order of the scene's views.
        points: sparse points, or None.
        sphere: centre ``[3]`` and radius of where the source itself says that the object is, or None.
    """

    format: str
    views: list[SourceView]
    points: SparsePoints | None = None
    sphere: tuple[np.ndarray, float] | None = None


def rigid_pose(matrix, what: str) -> np.ndarray:
    """A camera-to-world matrix as ``[4, 4]`` float64 with an exact rotation.

    Args:
        matrix: 3 x 4 or 4 x 4 numbers; what: whose they are, for the message.

    Raises:
        SceneError: another shape, NaN, or a left 3 x 3 block that is no rotation.
    """
    try:
        matrix = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SceneError(f"{what}: the camera's matrix is not made of numbers") from error
    if matrix.shape not in {(3, 4), (4, 4)} or not np.isfinite(matrix).all():
        raise SceneError(f"{what}: the camera's matrix must be 3 x 4 or 4 x 4 finite numbers")
    left, _, right = np.linalg.svd(matrix[:3, :3])
    rotation = left @ right
    if np.abs(rotation - matrix[:3, :3]).max() > RIGID_TOLERANCE or np.linalg.det(rotation) < 0:
        raise SceneError(
            f"{what}: the camera's matrix is no rotation and translation (determinant of its left 3 x 3 block "
            f"{np.linalg.det(matrix[:3, :3]):.3g}, not 1)"
        )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, matrix[:3, 3]
    return pose


def pinhole_matrix(fx: float, fy: float, cx: float, cy: float, skew: float = 0.0) -> np.ndarray:
    """Intrinsics ``[3, 3]``."""
    return np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
