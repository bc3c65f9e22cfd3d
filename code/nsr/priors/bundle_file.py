"""Prior bundles on disk: one ``<view>.npz`` a view, whose header states units, axes and what it belongs to.

Arrays, each optional: ``depth [H, W]``, ``normal [H, W, 3]``, ``albedo [H, W, 3]``, ``shading [H, W, 3]``, each with
its ``<name>_confidence [H, W]`` in [0, 1] (0: no value), and ``sh [9, 3]``; and ``header``, a JSON text.  A map without
a confidence is believed wherever it has a value (a depth or normal other than 0, any colour).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from nsr.atomic import whole_file
from nsr.errors import PriorError
from nsr.priors.bundle import AFFINE, METRIC

VERSION = 1
FINGERPRINT_SIDE = 8  # cells of a picture's fingerprint along a side, a byte a channel each
MAPS = {"depth": 2, "normal": 3, "albedo": 3, "shading": 3}  # and how many axes each has
METRES = {"mm": 0.001, "m": 1.0}
_UNIT_TOLERANCE = 0.02  # of a normal's length: half floats and 8-bit pictures keep it
# What is no archive, is cut short, is damaged within a member, or asks for what zipfile or memory do not have.
_UNREADABLE = (
    OSError, ValueError, EOFError, TypeError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_BRIGHTEST = float(np.finfo(np.float16).max)  # colours and light are of order 1; half floats hold them in training


@dataclass(frozen=True)
class DepthConvention:
    """How a depth map counts.

    Attributes:
        kind: ``metric``, or ``affine``: up to one scale and one shift of the view.
        unit: ``mm``, ``m``, or ``scene`` (world units of the scene's camera file); of a metric depth.
        measure: ``z``, along the optical axis, or ``ray``, along the pixel's ray.
        metres_per_scene_unit: what a world unit of the scene is; needed where the unit is ``mm`` or ``m``.
    """

    kind: str
    unit: str | None = None
    measure: str = "z"
    metres_per_scene_unit: float | None = None


@dataclass(frozen=True)
class DirectionConvention:
    """Axes of normals, or of the normals that spherical harmonics are functions of.

    Attributes:
        frame: ``camera``, or ``world``: world coordinates of the scene's camera file.
        axes: of the camera's frame: ``opencv`` (x right, y down, z forward) or ``opengl`` (x right, y up, z backward).
    """

    frame: str
    axes: str = "opencv"


@dataclass(frozen=True)
class ColourConvention:
    """``space`` of an albedo or shading: ``linear`` or ``srgb`` (IEC 61966-2-1)."""

    space: str


@dataclass(frozen=True)
class BundleHeader:
    """What a bundle says of itself.

    Attributes:
        scene, view: names of the scene and of the view's image, without suffix.
        width, height: of its maps, in pixels.
        depth, normal, albedo, shading, sh: conventions of what it holds; None for what it does not.
        intrinsics: ``[3, 3]`` of its maps; None: they show what the view's image shows, whatever their size.
        source: what made it, for people.
        picture: fingerprint of the view's picture (``nsr.priors.identity``), by which the bundle is known as the view's
            own; None: by the names alone.
    """

    scene: str
    view: str
    width: int
    height: int
    depth: DepthConvention | None = None
    normal: DirectionConvention | None = None
    albedo: ColourConvention | None = None
    shading: ColourConvention | None = None
    sh: DirectionConvention | None = None
    intrinsics: list[list[float]] | None = None
    source: str = ""
    picture: str | None = None
    version: int = VERSION


@dataclass(frozen=True)
class StoredBundle:
    """A bundle as it is on disk: a header and the arrays it speaks of.

    Attributes:
        header; arrays: by the names that the module's docstring lists.
    """

    header: BundleHeader
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


_CONVENTIONS = {
    "depth": DepthConvention,
    "normal": DirectionConvention,
    "albedo": ColourConvention,
    "shading": ColourConvention,
    "sh": DirectionConvention,
}
_ALLOWED = {
    "kind": (METRIC, AFFINE),
    "measure": ("z", "ray"),
    "frame": ("camera", "world"),
    "axes": ("opencv", "opengl"),
    "space": ("linear", "srgb"),
}


def write_bundle(folder: str | Path, stored: StoredBundle) -> Path:
    """Write ``<view>.npz`` into ``folder``, whole or not at all; returns its path.

    Raises:
        PriorError: the bundle contradicts itself (``check_bundle``), or the disk refuses.
    """
    path = Path(folder) / f"{stored.header.view}.npz"
    check_bundle(stored, str(path))
    header = {name: value for name, value in asdict(stored.header).items() if value is not None}
    arrays = {name: np.asarray(values, dtype=np.float32) for name, values in stored.arrays.items()}
    try:
        with whole_file(path) as partial:
            np.savez_compressed(partial, header=np.array(json.dumps(header)), **arrays)
    except OSError as error:
        raise PriorError(f"{path}: the bundle cannot be written ({error.strerror or error})") from error
    return path


def read_bundle(path: str | Path) -> StoredBundle:
    """Read and check one bundle; its arrays are float32.

    Raises:
        PriorError: it cannot be read, or ``check_bundle`` finds something; one line that begins with the path.
    """
    path = Path(path)
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            contents = {name: file[name] for name in file.files}
    except _UNREADABLE as error:
        raise PriorError(f"{path}: cannot be read as a bundle, an npz file ({error})") from error
    header = _header(contents.pop("header", None), path)
    for name, values in contents.items():
        if values.dtype.kind not in "fiu":
            raise PriorError(f"{path}: {name} holds {values.dtype}, not numbers")
    with np.errstate(over="ignore"):  # what single floats cannot hold is infinite, which the check finds
        stored = StoredBundle(header, {name: values.astype(np.float32) for name, values in contents.items()})
    check_bundle(stored, str(path))
    return stored


def check_bundle(stored: StoredBundle, source: str) -> None:
    """Whether a bundle is complete and makes sense on its own.

    Raises:
        PriorError: no map at all, an unknown array, a size other than the header's, a map whose unit or axes are not
            stated, a number that is not finite, a confidence outside [0, 1], a metric depth behind the camera, normals
            that are not unit, or colours beyond what half floats hold; the first of these, as one line that begins
            with ``source``.
    """
    header, arrays = stored.header, stored.arrays
    known = {*MAPS, *(f"{name}_confidence" for name in MAPS), "sh"}
    if unknown := sorted(set(arrays) - known):
        raise PriorError(f"{source}: unknown array {unknown[0]}; a bundle holds {', '.join(sorted(known))}")
    if not set(arrays) & {*MAPS, "sh"}:
        raise PriorError(f"{source}: the bundle holds no map; it needs one of {', '.join((*MAPS, 'sh'))}")
    _check_conventions(header, arrays, source)
    size = (header.height, header.width)
    for name, values in arrays.items():
        wanted = (9, 3) if name == "sh" else (*size, 3) if MAPS.get(name) == 3 else size
        if values.shape != wanted:
            raise PriorError(
                f"{source}: {name} is {list(values.shape)}; its header ({header.width} x {header.height}) asks for "
                f"{list(wanted)}"
            )
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise PriorError(
                f"{source}: {name} has {count} values that are NaN or infinite; say 'no value' by a confidence of 0"
            )
        if name.endswith("_confidence") and (values.min() < 0 or values.max() > 1):
            span = f"{values.min():g} to {values.max():g}"
            raise PriorError(f"{source}: {name} runs from {span}; it must be within [0, 1]")
        largest = float(np.abs(values).max())
        if name in ("albedo", "shading", "sh") and largest > _BRIGHTEST:
            raise PriorError(f"{source}: {name} goes up to {largest:.3g}; colours and light are of order 1")
    if "depth" in arrays and header.depth.kind == METRIC:
        behind = int(((arrays["depth"] <= 0) & (confidence_of(stored, "depth") > 0)).sum())
        if behind:
            raise PriorError(f"{source}: {behind} depths are not before the camera (0 or less) and have a confidence")
    if "normal" in arrays:
        length = np.linalg.norm(arrays["normal"], axis=-1)[confidence_of(stored, "normal") > 0]
        wrong = np.abs(length - 1) > _UNIT_TOLERANCE
        if wrong.any():
            raise PriorError(
                f"{source}: {int(wrong.sum())} normals are not unit (the first has length {length[wrong][0]:.3g}); "
                "normalise them, and give confidence 0 where there is none"
            )


def confidence_of(stored: StoredBundle, name: str) -> np.ndarray:
    """``[H, W]`` float32 confidence of the map ``name``, which the bundle holds: as stored, else 1 wherever the map has
    a value."""
    given = stored.arrays.get(f"{name}_confidence")
    if given is not None:
        return given
    values = stored.arrays[name]
    if name == "depth" and stored.header.depth.kind == METRIC:
        return (values != 0).astype(np.float32)
    if name == "normal":
        return values.any(axis=-1).astype(np.float32)
    return np.ones(values.shape[:2], dtype=np.float32)


def _is_fingerprint(text: Any) -> bool:
    try:
        return len(bytes.fromhex(text)) == 3 * FINGERPRINT_SIDE**2
    except (TypeError, ValueError):
        return False


def intrinsics_of(tree: Any) -> np.ndarray | None:
    """``[3, 3]`` float64 intrinsics from rows of numbers; None where they are none (not finite, a last row other than
    0 0 1, a focal length that is not above 0)."""
    try:
        matrix = np.array(tree, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or not np.allclose(matrix[2], (0, 0, 1)):
        return None
    return matrix if matrix[0, 0] > 0 and matrix[1, 1] > 0 else None


def _check_conventions(header: BundleHeader, arrays: dict[str, np.ndarray], source: str) -> None:
    if header.version != VERSION:
        raise PriorError(f"{source}: the bundle is of version {header.version}; this program reads version {VERSION}")
    if not all(type(length) is int and length > 0 for length in (header.width, header.height)):
        raise PriorError(f"{source}: header.width and header.height must be whole numbers of pixels")
    if not all(isinstance(text, str) for text in (header.scene, header.view, header.source)):
        raise PriorError(f"{source}: header.scene, header.view and header.source must be texts")
    if header.picture is not None and not _is_fingerprint(header.picture):
        raise PriorError(f"{source}: header.picture is no fingerprint of a picture; leave it out where there is none")
    if header.intrinsics is not None and intrinsics_of(header.intrinsics) is None:
        raise PriorError(
            f"{source}: header.intrinsics must be three rows of three numbers, the last 0 0 1, with focal lengths "
            "above 0"
        )
    for name in _CONVENTIONS:
        convention = getattr(header, name)
        if name in arrays and convention is None:
            raise PriorError(f"{source}: the header does not say what unit, frame or colour space its {name} has")
        for part, value in (asdict(convention) if convention else {}).items():
            if part in _ALLOWED and value not in _ALLOWED[part]:
                raise PriorError(
                    f"{source}: header.{name}.{part} is {value!r}; it must be one of {', '.join(_ALLOWED[part])}"
                )
    depth = header.depth
    if depth is None or depth.kind == AFFINE:
        return
    if depth.unit not in (*METRES, "scene"):
        raise PriorError(f"{source}: header.depth.unit is {depth.unit!r}; a metric depth needs one of mm, m, scene")
    metres = depth.metres_per_scene_unit
    if depth.unit in METRES and not (type(metres) in (int, float) and 0 < metres < float("inf")):
        raise PriorError(
            f"{source}: the depth is in {depth.unit}, but nothing says what a world unit of the scene is; set "
            "header.depth.metres_per_scene_unit (0.001 where the scene is in millimetres)"
        )


def _header(text: np.ndarray | None, path: Path) -> BundleHeader:
    if text is None:
        raise PriorError(f"{path}: the bundle has no header, so its units and axes are unknown")
    try:
        tree = json.loads(str(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise PriorError(f"{path}: its header is not JSON ({error})") from None
    return _fill(BundleHeader, tree, "header", path)


def _fill(cls: type, tree: Any, place: str, path: Path) -> Any:
    """An instance of the dataclass ``cls`` from JSON."""
    if not isinstance(tree, dict):
        raise PriorError(f"{path}: {place} must be a JSON object")
    names = {entry.name for entry in fields(cls)}
    if unknown := sorted(set(tree) - names):
        raise PriorError(f"{path}: unknown entry {place}.{unknown[0]}; known are {', '.join(sorted(names))}")
    values = {
        name: _fill(_CONVENTIONS[name], value, f"{place}.{name}", path)
        if cls is BundleHeader and name in _CONVENTIONS and value is not None
        else value
        for name, value in tree.items()
    }
    try:
        return cls(**values)
    except TypeError as error:
        missing = str(error).partition("argument")[2].lstrip("s: ") or error
        raise PriorError(f"{path}: {place} lacks {missing}") from None
