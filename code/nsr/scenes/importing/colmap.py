"""COLMAP models, binary and text: cameras, images and points3D.

Formats: colmap.github.io/format.html.  COLMAP's pixel (0.5, 0.5) is the centre of the first pixel, so its principal
points move by minus a half.  Its poses are world to camera, OpenCV axes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.files import find_photographs, read_text
from nsr.scenes.importing.lens import Lens
from nsr.scenes.importing.source import Source, SourceView, pinhole_matrix
from nsr.scenes.sparse_points import SparsePoints

MODEL_FOLDERS = ("", "sparse/0", "sparse", "colmap/sparse/0", "0")
IMAGE_FOLDERS = ("images", "image", "")

# COLMAP's camera models by number: name and how many parameters.
MODELS = {
    0: ("SIMPLE_PINHOLE", 3),
    1: ("PINHOLE", 4),
    2: ("SIMPLE_RADIAL", 4),
    3: ("RADIAL", 5),
    4: ("OPENCV", 8),
    5: ("OPENCV_FISHEYE", 8),
    6: ("FULL_OPENCV", 12),
    7: ("FOV", 5),
    8: ("SIMPLE_RADIAL_FISHEYE", 4),
    9: ("RADIAL_FISHEYE", 5),
    10: ("THIN_PRISM_FISHEYE", 12),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    12: ("SIMPLE_DIVISION", 4),
    13: ("DIVISION", 5),
    14: ("SIMPLE_FISHEYE", 3),
    15: ("FISHEYE", 4),
    16: ("EUCM", 6),
}
PARAMETERS = dict(MODELS.values())
ONE_FOCAL = {
    "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_DIVISION",
    "SIMPLE_FISHEYE",
}  # fmt: skip


@dataclass
class _Camera:
    size: tuple[int, int]
    intrinsics: np.ndarray
    lens: Lens


@dataclass
class _Image:
    number: int
    name: str
    camera: int
    pose: np.ndarray


def find_model(source: Path) -> Path | None:
    """The folder of a COLMAP model in or below ``source``, or None."""
    for name in MODEL_FOLDERS:
        folder = source / name
        if any((folder / f"{part}.{suffix}").is_file() for part in ("cameras", "images") for suffix in ("bin", "txt")):
            return folder
    return None


def read_colmap(source: Path, images: Path | None = None) -> Source:
    """Read a COLMAP model; views are ordered by their names, points keep their tracks.

    Args:
        source: the model's folder, or one that holds it in ``sparse/0``, ``sparse`` or ``colmap/sparse/0``.
        images: where the photographs are; None: in ``images/`` beside the model or above it.

    Raises:
        SceneError: a part is missing, damaged, of an unknown camera model, or photographs are missing.
    """
    folder = find_model(source)
    if folder is None:
        raise SceneError(f"{source}: no COLMAP model here (cameras and images, .bin or .txt)")
    suffix = "bin" if (folder / "cameras.bin").is_file() or (folder / "images.bin").is_file() else "txt"
    for part in ("cameras", "images"):
        if not (folder / f"{part}.{suffix}").is_file():
            raise SceneError(f"{folder}: half a COLMAP model: {part}.{suffix} is missing; export the model again")
    readers = _BINARY if suffix == "bin" else _TEXT
    cameras = _read(readers[0], folder / f"cameras.{suffix}")
    found = sorted(_read(readers[1], folder / f"images.{suffix}"), key=lambda image: image.name)
    if not found:
        raise SceneError(f"{folder}: the COLMAP model has no registered image")
    for image in found:
        if image.camera not in cameras:
            raise SceneError(f"{folder}: image {image.name} has camera {image.camera}, which the model does not have")
    places = (
        [images]
        if images
        else [base / name for base in (source, folder, *folder.parents[:2]) for name in IMAGE_FOLDERS]
    )
    paths = find_photographs([image.name for image in found], places)
    views = [
        SourceView(
            image.name, path, cameras[image.camera].intrinsics, image.pose, cameras[image.camera].size,
            cameras[image.camera].lens,
        )
        for image, path in zip(found, paths, strict=True)
    ]  # fmt: skip
    points_file = folder / f"points3D.{suffix}"
    points = _read(readers[2], points_file) if points_file.is_file() else None
    if points:
        view_of = {image.number: view for view, image in enumerate(found)}
        tracks = [sorted({view_of[number] for number in track if number in view_of}) for _, _, track in points]
        sparse = SparsePoints.from_tracks([point[0] for point in points], [point[1] for point in points], tracks)
    else:
        sparse = None
    return Source("colmap", views, sparse)


def camera_of(model: str, parameters: list[float], where: str) -> tuple[np.ndarray, Lens]:
    """Intrinsics ``[3, 3]`` (our pixel convention) and lens of one of COLMAP's camera models.

    Args:
        model: its name; parameters: in COLMAP's order; where: for messages.

    Raises:
        SceneError: an unknown model, a panorama, or the wrong number of parameters.
    """
    if model == "EQUIRECTANGULAR":
        raise SceneError(f"{where}: the camera is a panorama (EQUIRECTANGULAR); cut pinhole pictures from it first")
    if model not in PARAMETERS:
        raise SceneError(f"{where}: unknown camera model {model}; known are {', '.join(PARAMETERS)}")
    if len(parameters) != PARAMETERS[model]:
        raise SceneError(
            f"{where}: camera model {model} has {PARAMETERS[model]} parameters, but {len(parameters)} are given"
        )
    if not np.isfinite(parameters).all():
        raise SceneError(f"{where}: a parameter of the camera is NaN or infinite")
    focals = 1 if model in ONE_FOCAL else 2
    fx, fy = parameters[0], parameters[focals - 1]
    cx, cy = parameters[focals : focals + 2]
    extra = tuple(parameters[focals + 2 :])
    return pinhole_matrix(fx, fy, cx - 0.5, cy - 0.5), _lens(model, extra)


def _lens(model: str, extra: tuple[float, ...]) -> Lens:
    if model == "OPENCV":
        return Lens(radial=extra[:2], tangential=extra[2:4])
    if model == "FULL_OPENCV":
        return Lens(radial=(*extra[:2], extra[4]), denominator=extra[5:8], tangential=extra[2:4])
    if model == "FOV":
        return Lens("field_of_view", bend=extra)
    if model.endswith("DIVISION"):
        return Lens("division", bend=extra)
    if model == "EUCM":
        return Lens("unified", bend=extra)
    if model == "THIN_PRISM_FISHEYE":  # k1 k2 p1 p2 k3 k4 sx1 sy1
        radial = (*extra[:2], *extra[4:6])
        return Lens("equidistant", radial=radial, tangential=extra[2:4], prism=(extra[6], 0.0, extra[7], 0.0))
    if model == "RAD_TAN_THIN_PRISM_FISHEYE":  # k0..k5 p0 p1 s0..s3; p0 acts along x first, the other way round
        return Lens(
            "equidistant", radial=extra[:6], tangential=(extra[7], extra[6]), prism=extra[8:12], radial_first=True
        )
    projection = "equidistant" if "FISHEYE" in model else "perspective"
    return Lens(projection, radial=extra)


def _pose(quaternion, translation) -> np.ndarray:
    """Camera to world from COLMAP's world to camera: quaternion w, x, y, z and translation."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_quat(np.roll(quaternion, -1)).as_matrix()
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, -rotation.T @ np.asarray(translation)
    if not np.isfinite(pose).all():
        raise ValueError("a pose is not finite")
    return pose


def _read(reader, path: Path):
    try:
        return reader(path)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError, EOFError, OverflowError, MemoryError) as error:
        raise SceneError(f"{path}: damaged or cut short, or not a file of COLMAP's; export the model again") from error
    except OSError as error:
        raise SceneError(f"{path}: cannot be read ({error.strerror or error})") from error


class _Binary:
    """Little-endian numbers of a file, one after the other."""

    def __init__(self, path: Path):
        self.data, self.at = path.read_bytes(), 0

    def take(self, kinds: str) -> tuple:
        values = struct.unpack_from("<" + kinds, self.data, self.at)
        self.at += struct.calcsize("<" + kinds)
        return values

    def text(self) -> str:
        end = self.data.index(b"\0", self.at)
        value = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return value

    def skip(self, count: int) -> None:
        if self.at + count > len(self.data):
            raise EOFError
        self.at += count


def _binary_cameras(path: Path) -> dict[int, _Camera]:
    file, cameras = _Binary(path), {}
    for _ in range(file.take("Q")[0]):
        number, model, width, height = file.take("iiQQ")
        if model == 17:
            camera_of("EQUIRECTANGULAR", [], str(path))
        if model not in MODELS:
            raise SceneError(f"{path}: unknown camera model number {model}; known are 0 to {max(MODELS)}")
        name, count = MODELS[model]
        cameras[number] = _Camera((height, width), *camera_of(name, list(file.take("d" * count)), str(path)))
    return cameras


def _binary_images(path: Path) -> list[_Image]:
    file, images = _Binary(path), []
    for _ in range(file.take("Q")[0]):
        number, *pose, camera = file.take("idddddddi")
        images.append(_Image(number, file.text(), camera, _pose(pose[:4], pose[4:])))
        file.skip(24 * file.take("Q")[0])  # x, y and the point's number of every feature
    return images


def _binary_points(path: Path) -> list[tuple]:
    file, points = _Binary(path), []
    for _ in range(file.take("Q")[0]):
        _, x, y, z, _, _, _, error, length = file.take("QdddBBBdQ")
        track = np.array(file.take(f"{2 * length}i"), dtype=np.int64)[::2] if length else []
        points.append(((x, y, z), error, list(track)))
    return points


def _text_lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if not line.lstrip().startswith("#")]


def _text_cameras(path: Path) -> dict[int, _Camera]:
    cameras = {}
    for line in filter(None, _text_lines(path)):
        number, model, width, height, *parameters = line.split()
        values = [float(value) for value in parameters]
        cameras[int(number)] = _Camera((int(height), int(width)), *camera_of(model, values, str(path)))
    return cameras


def _text_images(path: Path) -> list[_Image]:
    lines = _text_lines(path)
    while lines and not lines[0]:
        lines.pop(0)
    images = []
    for line in filter(None, lines[::2]):  # every second line lists an image's features, and may be empty
        number, *rest = line.split(maxsplit=9)  # a name may have spaces
        pose, camera, name = [float(value) for value in rest[:7]], int(rest[7]), rest[8]
        images.append(_Image(int(number), name, camera, _pose(pose[:4], pose[4:])))
    return images


def _text_points(path: Path) -> list[tuple]:
    points = []
    for line in filter(None, _text_lines(path)):
        values = line.split()
        if len(values) % 2:
            raise ValueError("a track is pairs of an image and a feature")
        position = tuple(float(value) for value in values[1:4])
        points.append((position, float(values[7]), [int(value) for value in values[8::2]]))
    return points


_BINARY = (_binary_cameras, _binary_images, _binary_points)
_TEXT = (_text_cameras, _text_images, _text_points)
