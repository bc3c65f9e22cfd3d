"""Polycam's raw data ("developer mode" exports): one JSON a keyframe.

``t_00`` .. ``t_23`` are camera to world with OpenGL axes, intrinsics are ARKit's: the principal point is measured from
the picture's corner and moves by minus a half.
"""

from __future__ import annotations

from pathlib import Path

from nsr.errors import SceneError
from nsr.scenes.importing.files import find_photographs, number, read_json
from nsr.scenes.importing.source import OPENGL_TO_OPENCV, Source, SourceView, pinhole_matrix, rigid_pose

# Cameras and pictures; the corrected ones have been through Polycam's own bundle adjustment.
FOLDERS = (("corrected_cameras", "corrected_images"), ("cameras", "images"))


def find_keyframes(source: Path) -> tuple[Path, Path] | None:
    """The folders of cameras and of pictures, in ``source`` or its ``keyframes/``, or None."""
    for base in (source / "keyframes", source):
        for cameras, pictures in FOLDERS:
            if (base / cameras).is_dir() and any((base / cameras).glob("*.json")):
                return base / cameras, base / pictures
    return None


def read_polycam(source: Path, images: Path | None = None) -> Source:
    """Read a Polycam export, keyframes in the order of their names.

    Raises:
        SceneError: no keyframes, a keyframe that lacks a number, or missing pictures.
    """
    found = find_keyframes(source)
    if found is None:
        raise SceneError(f"{source}: no Polycam keyframes here (corrected_cameras/ or cameras/ with .json files)")
    cameras, pictures = found
    paths = sorted(cameras.glob("*.json"))
    views = []
    for path, file in zip(paths, find_photographs([path.stem for path in paths], [images or pictures]), strict=True):
        values, where = read_json(path), str(path)
        rows = [[number(values, f"t_{row}{column}", where) for column in range(4)] for row in range(3)]
        fx, fy, cx, cy = (number(values, key, where) for key in ("fx", "fy", "cx", "cy"))
        size = int(number(values, "height", where)), int(number(values, "width", where))
        pose = rigid_pose(rows, where) @ OPENGL_TO_OPENCV
        views.append(SourceView(file.name, file, pinhole_matrix(fx, fy, cx - 0.5, cy - 0.5), pose, size))
    return Source("polycam", views)
