"""``transforms.json`` of nerfstudio and instant-ngp, and ``transforms_train.json`` of Blender's synthetic scenes.

Poses are camera to world with OpenGL axes (y up, z backward).  Pixels are counted from the corner of the picture: the
centre of the first is (0.5, 0.5), so principal points move by minus a half; a missing one is the picture's middle.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.files import find_photographs, number, read_json
from nsr.scenes.importing.lens import Lens
from nsr.scenes.importing.photograph import header
from nsr.scenes.importing.source import OPENGL_TO_OPENCV, Source, SourceView, pinhole_matrix, rigid_pose
from nsr.scenes.sparse_points import SparsePoints

FILE = "transforms.json"
BLENDER_FILE = "transforms_train.json"
PERSPECTIVE_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
FISHEYE_MODELS = ("OPENCV_FISHEYE",)


def read_transforms(source: Path, images: Path | None = None) -> Source:
    """Read ``transforms.json`` (or ``transforms_train.json``, or the file that ``source`` is).

    Intrinsics (fl_x, fl_y, cx, cy, w, h, k1..k4, p1, p2, or camera_angle_x) may stand once or per frame; frames keep
    their order, sorted by file name.

    Raises:
        SceneError: the file is damaged, a frame has no pose, a lens is unknown, photographs are missing.
    """
    path = (
        source if source.is_file() else next((source / f for f in (FILE, BLENDER_FILE) if (source / f).is_file()), None)
    )
    if path is None:
        raise SceneError(f"{source}: there is no {FILE} or {BLENDER_FILE} here")
    content = read_json(path)
    frames = content.get("frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise SceneError(f"{path}: it has no list of frames")
    for index, frame in enumerate(frames):
        if not isinstance(frame.get("file_path"), str) or "transform_matrix" not in frame:
            raise SceneError(f"{path}: frame {index} needs file_path and transform_matrix")
    frames = sorted(frames, key=lambda frame: _natural(frame["file_path"]))
    folders = [images, path.parent] if images else [path.parent, path.parent / "images"]
    files = find_photographs([frame["file_path"] for frame in frames], folders)
    masked = [frame for frame in frames if isinstance(frame.get("mask_path"), str)]
    masks = dict(
        zip(map(id, masked), find_photographs([frame["mask_path"] for frame in masked], [path.parent]), strict=True)
    )
    views = []
    for frame, file in zip(frames, files, strict=True):
        where = f"{path}: frame {frame['file_path']}"
        intrinsics, size, lens = _camera({**content, **frame}, file, where)
        pose = rigid_pose(frame["transform_matrix"], where) @ OPENGL_TO_OPENCV
        views.append(SourceView(frame["file_path"], file, intrinsics, pose, size, lens, masks.get(id(frame))))
    name = "blender" if path.name.startswith("transforms_") else "transforms"
    return Source(name, views, _points(content, path))


def _natural(name: str) -> list:
    """r_2 before r_10."""
    import re

    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _camera(values: dict, file: Path, where: str) -> tuple[np.ndarray, tuple[int, int], Lens]:
    model = str(values.get("camera_model", "OPENCV_FISHEYE" if values.get("is_fisheye") else "OPENCV")).upper()
    if model not in PERSPECTIVE_MODELS + FISHEYE_MODELS:
        known = ", ".join(PERSPECTIVE_MODELS + FISHEYE_MODELS)
        raise SceneError(f"{where}: unknown camera model {model}; known are {known}")
    if "w" in values and "h" in values:
        size = int(number(values, "h", where)), int(number(values, "w", where))
    else:
        size = header(file)[0]
    height, width = size
    if "fl_x" in values:
        fx = number(values, "fl_x", where)
    elif "camera_angle_x" in values:
        fx = width / 2 / np.tan(number(values, "camera_angle_x", where) / 2)
    else:
        raise SceneError(f"{where}: it has neither fl_x nor camera_angle_x, so its focal length is unknown")
    if "camera_angle_y" in values and "fl_y" not in values and "fl_x" not in values:
        fy = height / 2 / np.tan(number(values, "camera_angle_y", where) / 2)
    else:
        fy = number(values, "fl_y", where, fx)
    cx, cy = number(values, "cx", where, width / 2), number(values, "cy", where, height / 2)
    radial = tuple(number(values, key, where, 0.0) for key in ("k1", "k2", "k3", "k4"))
    tangential = tuple(number(values, key, where, 0.0) for key in ("p1", "p2"))
    projection = "equidistant" if model in FISHEYE_MODELS else "perspective"
    return pinhole_matrix(fx, fy, cx - 0.5, cy - 0.5), size, Lens(projection, radial=radial, tangential=tangential)


def _points(content: dict, path: Path) -> SparsePoints | None:
    """The point cloud that nerfstudio writes beside its cameras; it does not say who sees a point."""
    name = content.get("ply_file_path")
    if not isinstance(name, str) or not (path.parent / name).is_file():
        return None
    import trimesh

    try:
        positions = np.asarray(trimesh.load(path.parent / name, process=False).vertices)
    except (ValueError, IndexError, AttributeError, OSError, KeyError) as error:
        raise SceneError(f"{path.parent / name}: not a point cloud, or damaged") from error
    return SparsePoints.from_tracks(positions, np.full(len(positions), np.nan), [[] for _ in positions])
