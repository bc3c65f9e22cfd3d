"""From another program's cameras, or photographs alone, to a scene folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import CAMERA_FILE, IMAGE_FOLDER, MASK_FOLDER, write_scene
from nsr.scenes.importing.formats import read_source
from nsr.scenes.importing.hull_agreement import hull_agreement
from nsr.scenes.importing.normalisation import Sphere, normalised_poses, sphere_from_masks, sphere_from_points
from nsr.scenes.importing.object_masks import (
    METHODS,
    MaskOptions,
    MattingNetwork,
    ProjectedSphere,
    find_mask,
    grabcut_mask,
    threshold_mask,
)
from nsr.scenes.importing.photograph import fit_camera, read_photograph, read_photograph_alpha, upright
from nsr.scenes.importing.rectification import Rectification, rectify
from nsr.scenes.importing.source import Source, SourceView
from nsr.scenes.pictures import read_mask
from nsr.scenes.resize import resize_intrinsics, resize_mask, resize_picture
from nsr.scenes.sparse_points import SPARSE_POINTS_FILE, SparsePoints, write_sparse_points

RECORD_FILE = "import.json"
DOUBTFUL_IOU = 0.8  # of a view's mask with the visual hull
WRONG_IOU = 0.5  # of the median view

logger = logging.getLogger("nsr")


@dataclass(frozen=True)
class ImportOptions:
    """What an import can be told.

    Attributes:
        format: as ``formats.FORMATS`` names it; None: recognised.
        images: folder of the photographs, where the source does not lead there.
        masks: one of ``object_masks.METHODS``, a folder of masks, or None: the source's own masks, else alpha, else
            GrabCut where there are sparse points.
        mask_options: how masks are made.
        views: names of the photographs to take (with or without suffix); None: all.
        sphere: the unit sphere by hand; None: from what ``normalise`` says.
        normalise: "masks", "points", or None: masks where there are any, else points.
        agreement: see ``normalisation.sphere_from_masks``.
        max_size: of the scene's pictures, the longer side in pixels; larger photographs are made smaller before masks
            are looked for, by area, with their intrinsics; None: as they are.
        reading: further arguments of the format's reader (the matcher of photographs, the board's markers).
    """

    format: str | None = None
    images: Path | None = None
    masks: str | Path | None = None
    mask_options: MaskOptions = field(default_factory=MaskOptions)
    views: list[str] | None = None
    sphere: Sphere | None = None
    normalise: str | None = None
    agreement: float = 0.9
    max_size: int | None = None
    reading: dict = field(default_factory=dict)


@dataclass
class ImportReport:
    """What an import did.

    Attributes:
        format: of the source; views: how many; masks: where they came from; sphere: the unit sphere in the world.
        overlap: per view IoU of its mask and the visual hull of all masks; empty without masks.
        points: number of sparse points.
    """

    format: str
    views: int
    masks: str
    sphere: Sphere
    overlap: list[float]
    points: int


@dataclass
class _View:
    """A view whose camera is a pinhole and fits its picture; ``size`` is that of the scene's picture."""

    source: SourceView
    rectification: Rectification
    photograph_size: tuple[int, int]
    orientation: int
    size: tuple[int, int]

    def picture(self) -> np.ndarray:
        return resize_picture(
            self.rectification.picture(read_photograph(self.source.image, self.orientation)), self.size
        )

    def mask(self, of_photograph: np.ndarray) -> np.ndarray:
        return resize_mask(self.rectification.mask(of_photograph), self.size)

    def intrinsics(self) -> np.ndarray:
        return resize_intrinsics(self.rectification.intrinsics, self.photograph_size, self.size)


def import_scene(source: str | Path, target: str | Path, options: ImportOptions = ImportOptions()) -> ImportReport:
    """Write a source as a scene folder, with the lens's distortion taken out and the object in the unit sphere.

    Beside IDR's layout the folder gets ``sparse_points.npz`` where the source has sparse points, and ``import.json``,
    which says where each view came from.  The folder appears whole or not at all.

    Args:
        source: a folder or file of one of ``formats.FORMATS``; target: a folder without a scene.

    Raises:
        SceneError: the source cannot be used, masks or unit sphere cannot be found, masks and cameras contradict each
            other, or the target cannot be written.
    """
    source, target = Path(source), Path(target)
    for entry in (IMAGE_FOLDER, MASK_FOLDER, CAMERA_FILE):
        if (target / entry).exists():
            raise SceneError(f"{target / entry} exists already; import to a new folder or take that one away")
    found = _select(read_source(source, options.format, options.images, **options.reading), options.views)
    views = [_fit(view, options.max_size) for view in found.views]
    intrinsics = np.stack([view.intrinsics() for view in views])
    poses = np.stack([view.source.pose for view in views])
    method = _mask_method(found, views, options)
    guess = options.sphere
    if guess is None and method == "grabcut":
        guess = _sphere_without_masks(found, poses)
    masks = _Masks(views, _masks(views, method, options, found.points, guess, intrinsics, poses))
    sphere = options.sphere or _sphere(found, method, masks, intrinsics, poses, options)
    cameras = Cameras(torch.from_numpy(intrinsics), torch.from_numpy(normalised_poses(poses, sphere)))
    overlap = [] if method == "none" else _agreement(masks, cameras, views)
    _write(target, found, views, masks, cameras, sphere, method)
    return ImportReport(found.format, len(views), method, sphere, overlap, len(found.points) if found.points else 0)


def _select(source: Source, names: list[str] | None) -> Source:
    if names is None:
        return source
    index = {}
    for view, entry in enumerate(source.views):
        for key in (entry.name, Path(entry.name).name, Path(entry.name).stem):
            index.setdefault(key, view)
    unknown = [name for name in names if name not in index]
    if unknown:
        raise SceneError(f"{len(unknown)} of the {len(names)} views that are asked for are not there: {unknown[0]}")
    kept = sorted({index[name] for name in names})
    points = source.points.of_views(kept) if source.points else None
    return Source(source.format, [source.views[view] for view in kept], points, source.sphere)


def _fit(view: SourceView, max_size: int | None) -> _View:
    intrinsics, size, orientation = fit_camera(view)
    try:
        rectification = rectify(intrinsics, view.lens, size)
    except SceneError as error:
        raise SceneError(f"{view.name}: {error}") from error
    shrink = 1.0 if max_size is None else min(1.0, max_size / max(size))
    return _View(view, rectification, size, orientation, tuple(max(1, round(shrink * side)) for side in size))


def _mask_method(source: Source, views: list[_View], options: ImportOptions) -> str:
    """One of METHODS, or "source" (mask files that the source names), or "folder"."""
    if isinstance(options.masks, Path):
        if not options.masks.is_dir():
            raise SceneError(f"{options.masks}: there is no such folder of masks (methods are {', '.join(METHODS)})")
        return "folder"
    if options.masks is not None:
        return options.masks
    if all(view.mask for view in source.views):
        return "source"
    if read_photograph_alpha(views[0].source.image) is not None:
        return "alpha"
    if source.points is not None and len(source.points.views):
        return "grabcut"
    raise SceneError(
        "the source has no masks: say --masks threshold (a plain background), --masks FOLDER, --masks grabcut with "
        "--center and --radius, --masks rembg, or --masks none"
    )


class _Masks:
    """The masks of all views, a bit a pixel."""

    def __init__(self, views: list[_View], masks: Iterator[np.ndarray]):
        self.sizes = [view.size for view in views]
        self.bits = [np.packbits(mask) for mask in masks]

    def __iter__(self) -> Iterator[np.ndarray]:
        for bits, (height, width) in zip(self.bits, self.sizes, strict=True):
            yield np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)


def _masks(views, method, options, points, sphere, intrinsics, poses) -> Iterator[np.ndarray]:
    network = MattingNetwork() if method == "rembg" else None
    for index, view in enumerate(views):
        if method == "none":
            yield np.ones(view.size, dtype=bool)
            continue
        if method in ("alpha", "source", "folder"):
            mask = view.mask(_mask_file(view, method, options))
        elif method == "threshold":
            mask = threshold_mask(view.picture(), options.mask_options)
        elif method == "grabcut":
            seeds = _project(sphere, points, index, intrinsics[index], poses[index], view.size)
            mask = grabcut_mask(view.picture(), seeds, options.mask_options)
        else:
            mask = network.mask(view.picture(), options.mask_options)
        if mask.all() or not mask.any():
            hint = {"threshold": "choose another --threshold, or --invert where the object is the darker part"}
            raise SceneError(
                f"{view.source.image}: the mask by {method} is {'full' if mask.any() else 'empty'}; "
                + hint.get(method, "make this mask another way, or leave the view out with --views")
            )
        yield mask


def _mask_file(view: _View, method: str, options: ImportOptions) -> np.ndarray:
    image = view.source.image
    if method == "alpha":
        alpha = read_photograph_alpha(image, view.orientation)
        if alpha is None:
            raise SceneError(f"{image}: it has no alpha channel that separates anything; choose another --masks")
        return alpha > 127
    path = view.source.mask if method == "source" else find_mask(options.masks, image, view.source.name)
    mask = read_mask(path)
    if mask.shape != view.photograph_size and mask.shape[::-1] == view.photograph_size:
        mask = upright(mask, view.orientation)
    if mask.shape != view.photograph_size:
        raise SceneError(
            f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]} but the photograph {view.source.name} is "
            f"{view.photograph_size[1]}x{view.photograph_size[0]} (width x height); they must be equal"
        )
    return mask


def _project(sphere: Sphere, points: SparsePoints | None, view, intrinsics, pose, size) -> ProjectedSphere:
    centre = pose[:3, :3].T @ (sphere.centre - pose[:3, 3])
    if centre[2] <= 0:
        raise SceneError(
            f"view {view}: the object's sphere is behind this camera, so GrabCut has nothing to start from"
        )
    squared = centre @ centre - sphere.radius**2
    focal = np.sqrt(intrinsics[0, 0] * intrinsics[1, 1])
    radius = focal * sphere.radius / np.sqrt(squared) if squared > 0 else float(np.hypot(*size))
    seen = points.positions[points.seen_by(view)] if points is not None else np.zeros((0, 3))
    in_camera = (seen - pose[:3, 3]) @ pose[:3, :3]
    front = in_camera[:, 2] > 0
    pixels = (in_camera[front] @ intrinsics.T)[:, :2] / in_camera[front, 2:]
    inside = np.linalg.norm(seen[front] - sphere.centre, axis=1) <= sphere.radius
    return ProjectedSphere((intrinsics @ centre)[:2] / centre[2], radius, pixels[inside], pixels[~inside])


def _sphere_without_masks(source: Source, poses: np.ndarray) -> Sphere:
    if source.sphere is not None:
        return Sphere(*source.sphere)
    if source.points is None:
        raise SceneError(
            "where the object is cannot be told without masks or sparse points: give --center and --radius"
        )
    return sphere_from_points(source.points.positions, source.points.errors, poses)


def _sphere(source: Source, method, masks, intrinsics, poses, options: ImportOptions) -> Sphere:
    if options.normalise == "points" or (options.normalise is None and method == "none"):
        return _sphere_without_masks(source, poses)
    if method == "none":
        raise SceneError(
            "normalising by masks needs masks; with --masks none give --normalise points or --center and --radius"
        )
    return sphere_from_masks(list(masks), intrinsics, poses, options.agreement)


def _agreement(masks: _Masks, cameras: Cameras, views: list[_View]) -> list[float]:
    overlap = hull_agreement(list(masks), cameras)
    if (median := float(np.median(overlap))) < WRONG_IOU:
        raise SceneError(
            f"masks and cameras contradict each other: their visual hull, seen again, covers the masks with an IoU of "
            f"{median:.2f} (a good scene has 0.9 and more); check the masks, and the camera convention"
        )
    for view, value in zip(views, overlap, strict=True):
        if value < DOUBTFUL_IOU:
            logger.warning(
                f"{view.source.name}: its mask disagrees with the others: IoU with their visual hull {value:.2f} "
                f"(median {median:.2f}); look at it, or leave the view out with --views"
            )
    return overlap


def _write(
    target, source: Source, views: list[_View], masks: _Masks, cameras: Cameras, sphere: Sphere, method: str
) -> None:
    lossy = all(view.source.image.suffix.lower() in (".jpg", ".jpeg") for view in views)
    record = {
        "format": source.format,
        "masks": method,
        "centre": sphere.centre.tolist(),
        "radius": sphere.radius,
        "views": [
            {"photograph": view.source.name, "undistorted": view.rectification.where is not None} for view in views
        ],
    }
    try:
        with whole_folder(target) as partial:
            pictures = (view.picture() for view in views)
            write_scene(partial, pictures, masks, cameras, sphere.scale_mat, "jpg" if lossy else "png")
            if source.points is not None:
                write_sparse_points(partial / SPARSE_POINTS_FILE, source.points)
            (partial / RECORD_FILE).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    except OSError as error:
        raise SceneError(f"{target}: the scene cannot be written ({error.strerror or error})") from error
