"""What other programs' files are taken to mean: one reader a format, each from files to maps and conventions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from nsr.errors import PriorError
from nsr.priors.bundle import AFFINE
from nsr.priors.bundle_file import DepthConvention, DirectionConvention, intrinsics_of
from nsr.priors.importing.files import match_files, read_npy, read_png

_LENGTH = 0.1  # by which a decoded normal's length may differ from 1: eight bits and compression
_MOSTLY = 0.5  # share of the pixels that must decode to a normal


@dataclass(frozen=True)
class ReadMaps:
    """What a reader found for one view.

    Attributes:
        arrays: by a bundle's names; conventions: of the header, by name; intrinsics: ``[3, 3]`` or None.
    """

    arrays: dict[str, np.ndarray]
    conventions: dict[str, DepthConvention | DirectionConvention]
    intrinsics: list[list[float]] | None = None


class Reader(Protocol):
    """One format.

    Attributes:
        source: for the header, what the maps come from.
    """

    source: str

    def views(self, names: Sequence[str]) -> list[str]:
        """Those of the scene's views that it has something of.

        Raises:
            PriorError: files and views cannot be paired.
        """

    def read(self, view: str) -> ReadMaps:
        """The maps of one of those.

        Raises:
            PriorError: they cannot be read.
        """


class DepthPictures:
    """16-bit PNG files of a depth sensor, 0 where it measured nothing.

    Args:
        folder: of the files.
        convention: unit, measure and the world's unit; a value is ``convention``'s depth times ``counts``.
        counts: of one unit: 1 for millimetres as they mostly are; 5000 for the metres of TUM's files.
        intrinsics: a file of the depth camera's, where they are not those of the pictures: JSON with ``fx``, ``fy``,
            ``cx``, ``cy`` (and ``skew``) or three rows; or text with three rows.  The depth must be registered to the
            picture's camera: same centre, same orientation.
        confidence: folder of 8-bit PNG files of the same names, 255 where the sensor is sure.
    """

    def __init__(
        self,
        folder: Path,
        convention: DepthConvention,
        counts: float = 1.0,
        intrinsics: Path | None = None,
        confidence: Path | None = None,
    ):
        self.folder, self.convention, self.counts, self.confidence = folder, convention, counts, confidence
        self.intrinsics = None if intrinsics is None else read_intrinsics(intrinsics)
        self.source = "depth sensor"
        self.files: dict[str, Path] = {}
        self.trust: dict[str, Path] = {}

    def views(self, names: Sequence[str]) -> list[str]:
        self.files = match_files(self.folder, (".png",), "", names)
        if self.confidence is not None:
            self.trust = match_files(self.confidence, (".png",), "", names)
        return list(self.files)

    def read(self, view: str) -> ReadMaps:
        counts = read_png(self.files[view])
        if counts.dtype != np.uint16 or counts.ndim != 2:
            kind = f"{counts.dtype.itemsize * 8}-bit " + ("grey" if counts.ndim == 2 else "colour")
            raise PriorError(f"{self.files[view]}: is a {kind} picture; a depth is 16-bit grey")
        arrays = {"depth": counts.astype(np.float32) / np.float32(self.counts)}
        if self.confidence is not None:
            if view not in self.trust:
                raise PriorError(f"{self.confidence}: there is no confidence of view {view}")
            trust = read_png(self.trust[view])
            if trust.dtype != np.uint8 or trust.shape != counts.shape:
                raise PriorError(f"{self.trust[view]}: must be 8-bit grey and of its depth's size")
            arrays["depth_confidence"] = trust.astype(np.float32) / 255 * (counts > 0)
        return ReadMaps(arrays, {"depth": self.convention}, self.intrinsics)


class MonocularArrays:
    """Arrays of a monocular network as MonoSDF lays them out: ``NAME_depth.npy [H, W]``, known up to a scale and a
    shift, and ``NAME_normal.npy [3, H, W]`` with (n + 1) / 2 in the camera's frame; either may be missing.

    Args:
        folder: of the files; axes: of the normals, ``opencv`` as MonoSDF uses them, or ``opengl``.
    """

    def __init__(self, folder: Path, axes: str = "opencv"):
        self.folder, self.axes = folder, axes
        self.source = "monocular network"
        self.files: dict[str, dict[str, Path]] = {}

    def views(self, names: Sequence[str]) -> list[str]:
        folder, self.files = Path(self.folder), {}
        for kind in ("depth", "normal"):
            if folder.is_dir() and any(folder.glob(f"*_{kind}.npy")):
                self.files[kind] = match_files(folder, (".npy",), f"_{kind}", names)
        if not self.files:
            raise PriorError(f"{folder}: there are no files *_depth.npy or *_normal.npy in it")
        return [name for name in names if any(name in files for files in self.files.values())]

    def read(self, view: str) -> ReadMaps:
        arrays, conventions = {}, {}
        if path := self.files.get("depth", {}).get(view):
            depth = np.squeeze(read_npy(path))
            if depth.ndim != 2:
                raise PriorError(f"{path}: is {list(depth.shape)}; a depth is [height, width]")
            arrays["depth"], conventions["depth"] = depth, DepthConvention(AFFINE, measure="z")
        if path := self.files.get("normal", {}).get(view):
            encoded = read_npy(path)
            if encoded.ndim != 3 or encoded.shape[0] != 3:
                raise PriorError(f"{path}: is {list(encoded.shape)}; normals are [3, height, width]")
            normal, confidence = _unit_normals(2 * np.moveaxis(encoded, 0, -1) - 1, path)
            arrays |= {"normal": normal, "normal_confidence": confidence}
            conventions["normal"] = DirectionConvention("camera", self.axes)
        return ReadMaps(arrays, conventions)


class NormalMaps:
    """Normals of photometric stereo: PNG files with (n + 1) / 2 in 8 or 16 bits, black or grey where there is none, or
    npy files ``[H, W, 3]``, 0 where there is none.

    Args:
        folder: of the files, all of one kind; convention: of their frame and axes.
    """

    def __init__(self, folder: Path, convention: DirectionConvention):
        self.folder, self.convention = folder, convention
        self.source = "normal maps"
        self.files: dict[str, Path] = {}

    def views(self, names: Sequence[str]) -> list[str]:
        self.files = match_files(self.folder, (".png", ".npy"), "", names)
        return list(self.files)

    def read(self, view: str) -> ReadMaps:
        path = self.files[view]
        if path.suffix.lower() == ".npy":
            normal = read_npy(path)
        else:
            picture = read_png(path)
            normal = picture.astype(np.float32) * (2 / np.iinfo(picture.dtype).max) - 1
            normal[~picture.any(axis=-1)] = 0
        if normal.ndim != 3 or normal.shape[-1] != 3:
            raise PriorError(f"{path}: is {list(normal.shape)}; normals are [height, width, 3]")
        normal, confidence = _unit_normals(normal, path)
        return ReadMaps({"normal": normal, "normal_confidence": confidence}, {"normal": self.convention})


def read_intrinsics(path: str | Path) -> list[list[float]]:
    """``[3, 3]`` intrinsics from a JSON or text file (see ``DepthPictures``).

    Raises:
        PriorError: they are not in it.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriorError(f"{path}: cannot be read ({error})") from None
    try:
        if path.suffix.lower() == ".json":
            tree = json.loads(text)
            if isinstance(tree, dict):
                tree = [
                    [tree["fx"], tree.get("skew", 0.0), tree["cx"]],
                    [0.0, tree["fy"], tree["cy"]],
                    [0.0, 0.0, 1.0],
                ]
        else:
            tree = [line.split() for line in text.splitlines() if line.strip()]
    except (KeyError, ValueError, RecursionError):
        tree = None
    matrix = intrinsics_of(tree)
    if matrix is None:
        raise PriorError(
            f"{path}: holds no intrinsics: JSON with fx, fy, cx, cy, or three rows of three numbers, the last 0 0 1, "
            "focal lengths above 0"
        )
    return matrix.tolist()


def _unit_normals(normal: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Normals made unit, 0 with confidence 0 where they are not near it (background, mixed pixels at outlines)."""
    length = np.linalg.norm(normal, axis=-1)
    good = np.abs(length - 1) <= _LENGTH
    something = length > _LENGTH
    if not np.isfinite(length).all():
        raise PriorError(f"{path}: has normals that are NaN or infinite")
    if not good.any() or good.sum() < _MOSTLY * something.sum():
        typical = np.median(length[something]) if something.any() else 0.0
        raise PriorError(
            f"{path}: its values are no unit normals (their median length is {typical:.3g}); their encoding must be "
            "another one"
        )
    unit = np.where(good[..., None], normal / np.maximum(length, 1e-9)[..., None], 0.0)
    return unit.astype(np.float32), good.astype(np.float32)
