"""LLFF's ``poses_bounds.npy``: one row of 17 numbers a photograph.

The first 15 are a 3 x 5 matrix: camera to world with the columns down, right, backward, then the centre, then height,
width and focal length; the last two (depth bounds) are not used.  LLFF keeps neither principal point nor distortion:
the principal point is the middle of the picture.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.files import list_photographs
from nsr.scenes.importing.source import Source, SourceView, pinhole_matrix, rigid_pose

FILE = "poses_bounds.npy"


def read_llff(source: Path, images: Path | None = None) -> Source:
    """Read ``poses_bounds.npy``; photographs are paired by sorted order, as LLFF pairs them.

    Args:
        images: their folder; None: ``images/``.  A folder of smaller copies (``images_4``) will do.

    Raises:
        SceneError: another file, NaN, or as many poses as there are no photographs.
    """
    path = source / FILE if source.is_dir() else source
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SceneError(f"{path}: not a .npy of numbers, or damaged") from error
    if rows.ndim != 2 or rows.shape[1] != 17 or rows.dtype.kind not in "fiu" or not np.isfinite(rows).all():
        raise SceneError(f"{path}: it must hold 17 finite numbers a photograph; its shape is {list(rows.shape)}")
    folder = images or path.parent / "images"
    files = list_photographs(folder)
    if len(files) != len(rows):
        raise SceneError(f"{path}: {len(rows)} poses but {len(files)} photographs in {folder}; each pose needs one")
    views = []
    for file, row in zip(files, rows, strict=True):
        matrix = row[:15].reshape(3, 5).astype(np.float64)
        down, right, backward, centre = matrix[:, :4].T
        height, width, focal = matrix[:, 4]
        if not (height >= 1 and width >= 1 and focal > 0):
            raise SceneError(f"{path}: {file.name}: height, width and focal length must be above zero")
        pose = rigid_pose(np.column_stack([right, down, -backward, centre]), f"{path}: {file.name}")
        intrinsics = pinhole_matrix(focal, focal, width / 2 - 0.5, height / 2 - 0.5)
        views.append(SourceView(file.name, file, intrinsics, pose, (round(height), round(width))))
    return Source("llff", views)
