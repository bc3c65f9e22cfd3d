"""Record3D's "EXR + RGB" exports: ``metadata`` (JSON) and ``rgb/`` or ``rgbd/``.

``poses`` are quaternions x, y, z, w and centres, camera to world with OpenGL axes; ``K`` is written column by column;
intrinsics are ARKit's: the principal point is measured from the picture's corner and moves by minus a half.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.files import list_photographs, number, read_json
from nsr.scenes.importing.source import OPENGL_TO_OPENCV, Source, SourceView, pinhole_matrix

FILES = ("metadata", "metadata.json")
PICTURE_FOLDERS = ("rgb", "rgbd", "images")


def find_metadata(source: Path) -> Path | None:
    """The metadata file in ``source`` (or ``source`` itself), or None."""
    if source.is_file():
        return source if source.name in FILES else None
    return next((source / name for name in FILES if (source / name).is_file()), None)


def read_record3d(source: Path, images: Path | None = None) -> Source:
    """Read a Record3D export; pictures are numbered from 0 as the poses are.

    Raises:
        SceneError: no metadata, poses or intrinsics of another form, or not as many pictures as poses.
    """
    path = find_metadata(source)
    if path is None:
        raise SceneError(f"{source}: there is no metadata of Record3D here")
    values = read_json(path)
    size = int(number(values, "h", str(path))), int(number(values, "w", str(path)))
    poses = _numbers(values, "poses", path, 7)
    if values.get("perFrameIntrinsicCoeffs"):
        coefficients = _numbers(values, "perFrameIntrinsicCoeffs", path, 4)
    else:
        matrix = _numbers({"K": [values.get("K")]}, "K", path, 9)[0].reshape(3, 3).T
        coefficients = np.tile(matrix[[0, 1, 0, 1], [0, 1, 2, 2]], (len(poses), 1))
    folder = images or next(
        (path.parent / n for n in PICTURE_FOLDERS if list_photographs(path.parent / n)), path.parent
    )
    files = [file for file in list_photographs(folder) if file.stem.isdigit()]
    files.sort(key=lambda file: int(file.stem))
    if not len(files) == len(poses) == len(coefficients):
        raise SceneError(
            f"{path}: {len(poses)} poses and {len(coefficients)} intrinsics but {len(files)} numbered pictures in "
            f"{folder}; each pose needs one of each"
        )
    views = []
    for file, pose, (fx, fy, cx, cy) in zip(files, poses, coefficients, strict=True):
        views.append(SourceView(file.name, file, pinhole_matrix(fx, fy, cx - 0.5, cy - 0.5), _pose(pose, path), size))
    return Source("record3d", views)


def _numbers(values: dict, key: str, path: Path, columns: int) -> np.ndarray:
    try:
        array = np.asarray(values[key], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise SceneError(f"{path}: {key} is missing or not made of numbers") from error
    if array.ndim != 2 or array.shape[1] != columns or not np.isfinite(array).all():
        raise SceneError(f"{path}: {key} must be {columns} finite numbers a frame; its shape is {list(array.shape)}")
    return array


def _pose(values: np.ndarray, path: Path) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    if not np.linalg.norm(values[:4]) > 0:
        raise SceneError(f"{path}: a pose has a quaternion of zeros")
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_quat(values[:4]).as_matrix(), values[4:]
    return pose @ OPENGL_TO_OPENCV
