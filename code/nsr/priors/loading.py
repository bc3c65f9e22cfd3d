"""The bundles of a scene's views, read from a folder: each checked against its view, bad ones left out by name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nsr.errors import PriorError
from nsr.priors.bundle import METRIC, PriorBundle
from nsr.priors.bundle_file import read_bundle
from nsr.priors.conversion import ViewFrame, to_engine
from nsr.priors.identity import check_identity
from nsr.scenes.idr_folder import view_names
from nsr.scenes.scene import Scene

PRIOR_FOLDER = "priors"
_REACH = 1.2  # radius within which an object's points lie; the unit sphere and some room for noise

logger = logging.getLogger("nsr")


def load_bundles(scene: Scene, folder: str | Path, views: Sequence[int]) -> dict[int, PriorBundle]:
    """The usable bundles of ``views``, in the engine's convention.

    A view without a bundle has no entry, and one line of the log names all of those; so has a view whose bundle cannot
    be used, which the log names with the reason.

    Args:
        scene: with a folder, whose images' names the bundles have.
        folder: of ``<view>.npz`` files; relative to the scene's folder.

    Raises:
        PriorError: there is no such folder, or no usable bundle in it.
    """
    if scene.folder is None:
        raise PriorError(f"{scene.name}: priors are found by the names of a scene's images, and it has no folder")
    names = view_names(scene.folder)
    folder = Path(scene.folder) / Path(folder).expanduser()
    if not folder.is_dir():
        raise PriorError(
            f"{folder}: there is no such folder of priors; 'nsr prior import' and 'nsr prior export' make one"
        )
    bundles, missing, bad = {}, [], {}
    for view in views:
        path = folder / f"{names[view]}.npz"
        if not path.exists():
            missing.append(names[view])
            continue
        try:
            bundles[view] = load_bundle(scene, view, path, names[view])
        except PriorError as error:
            bad[names[view]] = error
    if not bundles:
        why = f"; the first that is not: {next(iter(bad.values()))}" if bad else ""
        raise PriorError(f"{folder}: no usable bundle of the {len(views)} training views of {scene.name}{why}")
    for name, error in bad.items():
        logger.warning("view %s goes without its priors: %s", name, error)
    if missing:
        logger.warning(
            "%s: no priors for %d of %d training views, which train without: %s",
            folder, len(missing), len(views), ", ".join(missing),
        )  # fmt: skip
    return bundles


def load_bundle(scene: Scene, view: int, path: str | Path, name: str) -> PriorBundle:
    """One bundle of the scene's view ``view``, called ``name``.

    Raises:
        PriorError: it cannot be read, contradicts itself, or is not of this view (``check_identity``, ``check_view``).
    """
    stored = read_bundle(path)
    check_identity(stored.header, scene, view, name, str(path))
    frame = ViewFrame.of_scene(scene, view)
    bundle = to_engine(stored, frame, str(path))
    check_view(bundle, frame, scene.masks[view].cpu().numpy(), str(path))
    return _within_reach(bundle, frame)


def check_view(bundle: PriorBundle, frame: ViewFrame, mask: np.ndarray, source: str) -> None:
    """Whether the depths of the object's pixels lie where the object is.

    Args:
        mask: ``[H, W]`` bool, True on the object.

    Raises:
        PriorError: most of those of a metric depth are outside the unit sphere: a wrong unit, or another scene.
    """
    if bundle.depth is None or bundle.depth_kind != METRIC or mask.all():
        return
    known = mask & (bundle.depth_confidence > 0)
    if not known.any():
        return
    near = (np.linalg.norm(frame.points(bundle.depth)[known], axis=-1) < _REACH).mean()
    if near < 0.5:
        ray = np.median(bundle.depth[known])
        raise PriorError(
            f"{source}: only {near:.0%} of the object's depths lie in the unit sphere (the median is {ray:.3g} of its "
            f"radii from the camera, the sphere's centre {np.linalg.norm(frame.pose[:3, 3]):.3g}); the unit is wrong, "
            "or the bundle is of another scene"
        )


def _within_reach(bundle: PriorBundle, frame: ViewFrame) -> PriorBundle:
    """The bundle without the metric depths of points that cannot be the object's: a wall's, or a sensor's slips, of
    which a single one could outweigh all others."""
    if bundle.depth is None or bundle.depth_kind != METRIC:
        return bundle
    near = np.linalg.norm(frame.points(bundle.depth), axis=-1) < _REACH
    depth, confidence = (np.where(near, values, np.float32(0)) for values in (bundle.depth, bundle.depth_confidence))
    return replace(bundle, depth=depth, depth_confidence=confidence)
