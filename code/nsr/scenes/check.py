"""Is a scene fit to be reconstructed?  Everything that can be said before any training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nsr.errors import SceneError
from nsr.scenes.camera_file import CameraFile, read_camera_file
from nsr.scenes.idr_folder import (
    CAMERA_FILE,
    IMAGE_FOLDER,
    MASK_FOLDER,
    ViewFiles,
    pair_files,
    pairing_warnings,
    read_view,
)
from nsr.scenes.judgements import judge_views
from nsr.scenes.pictures import list_pictures
from nsr.scenes.scene import Scene
from nsr.scenes.view_facts import ViewFacts, measure_view


@dataclass
class CheckReport:
    """What a check found; each entry is one line for people.

    Attributes:
        subject: the folder or scene that was checked.
        errors: what keeps it from being reconstructed.
        warnings: what is likely to spoil the result.
        information: what is worth knowing.
        views: the measurements of the views that could be read.
    """

    subject: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    information: list[str] = field(default_factory=list)
    views: list[ViewFacts] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """No errors; there may be warnings."""
        return not self.errors

    def raise_errors(self) -> None:
        """Raise ``SceneError`` with the first error, and how many more there are, unless ``ok``."""
        if self.errors:
            more = len(self.errors) - 1
            raise SceneError(self.errors[0] + (f" (and {more} more: see nsr scene check {self.subject})" * bool(more)))

    def format(self) -> str:
        """The whole report as text: a table of views, then errors, warnings and information."""
        lines = [f"{self.subject}: {len(self.views)} views checked"]
        if self.views:
            header = f"{'view':<24}{'height x width':>15}{'mask':>8}{'distance':>10}"
            lines.append(header + f"{'mask pixels in unit sphere':>34}")
            lines += [_row(view) for view in self.views]
        for kind, entries in (("error", self.errors), ("warning", self.warnings), ("note", self.information)):
            lines += [f"{kind}: {entry}" for entry in entries]
        counts = [(len(self.errors), "error"), (len(self.warnings), "warning")]
        lines.append(", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts))
        return "\n".join(lines)


def check_scene(folder: str | Path, *, cam_file: str | None = None) -> CheckReport:
    """Check a scene folder in IDR's layout, file by file, one view in memory at a time.

    Never raises for a bad scene: what can be checked is checked and everything found is reported.  ``load_scene``
    raises the same lines for what it cannot load.

    Args:
        folder: as for ``load_scene``.
        cam_file: another npz than ``cameras.npz``.
    """
    folder = Path(folder)
    report = CheckReport(str(folder))
    if not folder.is_dir():
        report.errors.append(f"{folder}: there is no such scene folder")
        return report
    images = _attempt(report, list_pictures, folder / IMAGE_FOLDER) or []
    masks = _attempt(report, list_pictures, folder / MASK_FOLDER) or []
    pairs = _pair(report, folder, images, masks)
    camera_file = _attempt(report, read_camera_file, folder / (cam_file or CAMERA_FILE))
    if camera_file is not None and images:
        report.errors += camera_file.problems(len(images))
        if surplus := camera_file.surplus(len(images)):
            report.warnings.append(surplus)
    for view, files in pairs.items():
        pixels = _attempt(report, read_view, files)
        if pixels is not None:
            name = f"view {view} ({files.image.name})"
            report.views.append(measure_view(view, name, *pixels, _camera(camera_file, view)))
    _judge(report, len(images))
    return report


def check_loaded(scene: Scene) -> CheckReport:
    """Check a scene in memory: masks, images and how its cameras stand to the unit sphere."""
    report = CheckReport(str(scene.folder or scene.name))
    cameras = scene.cameras.to("cpu", torch.float64)
    intrinsics, poses = cameras.intrinsics.detach().numpy(), cameras.poses.detach().numpy()
    for view, (image, mask) in enumerate(zip(scene.images, scene.masks, strict=True)):
        camera = (intrinsics[view], poses[view])
        report.views.append(measure_view(view, f"view {view}", image.cpu().numpy(), mask.cpu().numpy(), camera))
    _judge(report, len(scene))
    return report


def _attempt(report: CheckReport, action: Callable, *arguments):
    """The action's result; None, and one more error in the report, when it raises ``SceneError``."""
    try:
        return action(*arguments)
    except SceneError as error:
        report.errors.append(str(error))
        return None


def _pair(report: CheckReport, folder: Path, images: list[Path], masks: list[Path]) -> dict[int, ViewFiles]:
    """View -> files.  When numbers differ, views whose image and mask share a name can still be looked at."""
    if not images or not masks:
        return {}
    files = _attempt(report, pair_files, folder, images, masks)
    if files is not None:
        report.warnings += pairing_warnings(files)
        return dict(enumerate(files))
    by_stem = {path.stem: path for path in masks}
    return {
        view: ViewFiles(image, by_stem[image.stem]) for view, image in enumerate(images) if image.stem in by_stem
    }


def _camera(camera_file: CameraFile | None, view: int):
    """The view's camera, or None; what is wrong with it is in the file's own list of problems."""
    if camera_file is None or view not in camera_file.world_mats or view not in camera_file.scale_mats:
        return None
    try:
        return camera_file.decompose(view)
    except SceneError:
        return None


def _judge(report: CheckReport, count: int) -> None:
    lists = {"error": report.errors, "warning": report.warnings, "information": report.information}
    for severity, line in judge_views(report.views, count):
        lists[severity].append(line)


def _row(facts: ViewFacts) -> str:
    row = f"{facts.name:<24}{facts.size[0]:>7} x{facts.size[1]:>6}{facts.mask_fraction:>8.1%}"
    if facts.camera is None:
        return row + f"{'no camera':>10}"
    seen = facts.camera.pixels_in_sphere
    share = f" ({seen / facts.mask_pixels:.1%})" if facts.mask_pixels else ""
    return row + f"{facts.camera.distance:>10.2f}{f'{seen} of {facts.mask_pixels}{share}':>34}"
