"""Bundles of synthetic scenes: the exact truth, depth as a simulated sensor measured it, and either with faults.

What such priors buy in a reconstruction bounds what those of a network can.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nsr.atomic import whole_folder
from nsr.errors import PriorError
from nsr.priors.bundle_file import (
    BundleHeader,
    ColourConvention,
    DepthConvention,
    DirectionConvention,
    StoredBundle,
    confidence_of,
    write_bundle,
)
from nsr.priors.conversion import ViewFrame, to_engine
from nsr.priors.identity import view_header
from nsr.priors.pictures import write_bundle_picture
from nsr.scenes.idr_folder import list_views, load_scene
from nsr.scenes.synthetic.ground_truth import ViewTruth, list_truth
from nsr.scenes.synthetic.light import spherical_harmonics
from nsr.scenes.synthetic.sensors.sense import SENSOR_FILE, SENSOR_FOLDER

EXACT = "exact"
SENSED = ("stereo_depth", "interpolated_depth", "sparse_depth", "low_resolution_depth")
_LEAST_COVERAGE = 0.5  # of a pixel by the object, for it to have values
_UNEXPLAINED = 0.3  # relative error of a shading by the fitted light, from which on it says nothing of the normal
_PATCH = 1 / 12  # of the view's longer side, largest size of a corrupted patch
_WRONG_DEPTH = 0.1  # of the distance, largest error of a corrupted one


def write_exact_bundles(
    scene_folder: str | Path,
    output: str | Path,
    *,
    depth: str = EXACT,
    corrupt: float = 0.0,
    seed: int = 0,
) -> Path:
    """Write a bundle, and a picture, for every view of a synthetic scene.

    With exact depth a bundle holds depth, normals, albedo, shading and light; with a sensor's it holds that depth
    alone.  Where the object covers less than half of a pixel, and where a sensor measured nothing, the confidence is
    0; else it is 1, in corrupted patches too: nothing tells them apart but other views.

    Args:
        scene_folder: of a scene that ``make_scene`` wrote.
        output: a folder that is not there yet; it appears whole or not at all.
        depth: ``exact``, or the name of a sensor's map in ``sensors/`` (``sense_scene``).
        corrupt: share of the pixels that patches of wrong values cover (``corrupted``); seed: of these.

    Raises:
        PriorError: the output exists, the sensor's map is not there, or the disk refuses.
        SceneError: the scene is not a synthetic one.
    """
    folder, output = Path(scene_folder), Path(output)
    if output.exists():
        raise PriorError(f"{output} exists already; give another folder or take that one away")
    if depth not in (EXACT, *SENSED):
        raise PriorError(f"depth is {depth!r}; known are {', '.join((EXACT, *SENSED))}")
    if not 0 <= corrupt < 1:
        raise PriorError(f"the corrupted share is {corrupt:g}; it must be at least 0 and below 1")
    truth = list_truth(folder)
    scene = load_scene(folder, heldout_every=0)
    try:
        with whole_folder(output) as partial:
            for index, files in enumerate(list_views(folder)):
                frame = ViewFrame.of_scene(scene, index)
                view = ViewTruth.read(truth[index], frame.intrinsics, frame.pose)
                header = view_header(scene, index, files.image.stem, frame.size)
                if depth == EXACT:
                    stored = exact_bundle(view, header)
                else:
                    stored = sensor_bundle(folder / SENSOR_FOLDER, depth, index, header, view)
                if corrupt > 0:
                    stored = corrupted(stored, corrupt, np.random.default_rng([seed, index]))
                write_bundle(partial, stored)
                write_bundle_picture(partial, to_engine(stored, frame, files.image.stem), frame)
    except OSError as error:
        raise PriorError(f"{output}: the bundles cannot be written ({error.strerror or error})") from error
    return output


def exact_bundle(view: ViewTruth, header: BundleHeader) -> StoredBundle:
    """The truth of a view as a bundle, in the truth's own conventions.

    The light's spherical harmonics are the view's best fit to its shading; the shading's confidence falls to 0 where
    the two differ by 30 % (shadows, near lights), for there no normal explains it.
    """
    header = dataclasses.replace(
        header,
        depth=DepthConvention("metric", "scene", "z"),
        normal=DirectionConvention("world"),
        albedo=ColourConvention("linear"),
        shading=ColourConvention("linear"),
        sh=DirectionConvention("world"),
        source="ground truth",
    )
    known = (view.depth > 0) & (view.coverage >= _LEAST_COVERAGE)
    maps = {"depth": view.depth, "normal": view.normal, "albedo": view.albedo, "shading": view.shading}
    arrays = _with_confidence(maps, known)
    arrays["sh"], explained = fitted_light(view.normal, view.shading, known)
    arrays["shading_confidence"] = explained
    return StoredBundle(header, arrays)


def fitted_light(normal: np.ndarray, shading: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The second-order spherical harmonics that explain a shading best, by least squares, and again without the third
    of the pixels that they explain worst, which mostly lie in shadow.

    Args:
        normal: ``[H, W, 3]`` unit; shading: ``[H, W, 3]`` linear; known: ``[H, W]`` bool.

    Returns:
        coefficients ``[9, 3]`` float32, as of ``spherical_harmonics``, and ``[H, W]`` float32 confidence: 1 where they
        give the shading, 0 where they are 30 % off or nothing is known.
    """
    confidence = np.zeros(known.shape, np.float32)
    light = np.zeros((9, 3), np.float32)
    if known.sum() < 9:
        return light, confidence
    basis, target = spherical_harmonics(torch.from_numpy(normal[known])).numpy(), shading[known]
    kept = np.ones(len(target), bool)
    for _ in range(3):
        light = np.linalg.lstsq(basis[kept], target[kept], rcond=None)[0]
        error = (np.abs(basis @ light - target) / np.maximum(target, 0.05)).max(-1)
        kept = error <= np.quantile(error, 2 / 3)
    confidence[known] = (1 - error / _UNEXPLAINED).clip(0, 1)
    return light.astype(np.float32), confidence


def sensor_bundle(
    sensors: Path, name: str, index: int, header: BundleHeader, view: ViewTruth
) -> StoredBundle:
    """The depth that a simulated sensor measured, as a bundle at the view's size.

    Args:
        sensors: the folder that ``sense_scene`` wrote; name: of the map; index: of the view; view: for the part of it
            that is the object (a sensor sees a room's walls too).

    Raises:
        PriorError: the map is not there.
    """
    path = sensors / name / f"{index:03d}.png"
    try:
        unit = json.loads((sensors / SENSOR_FILE).read_text(encoding="utf-8"))["depth_unit"]
        with Image.open(path) as picture:
            depth = np.asarray(picture, dtype=np.float32) * np.float32(unit)
    except (OSError, ValueError, KeyError) as error:
        raise PriorError(f"{path}: cannot be read; make it with nsr scene sense ({error})") from error
    depth = _at_size(depth, view.depth.shape)
    header = dataclasses.replace(header, depth=DepthConvention("metric", "scene", "z"), source=f"simulated {name}")
    return StoredBundle(header, _with_confidence({"depth": depth}, (depth > 0) & (view.coverage >= _LEAST_COVERAGE)))


def corrupted(stored: StoredBundle, share: float, random: np.random.Generator) -> StoredBundle:
    """A bundle with rectangles of wrong values, the same for all its maps, until they cover ``share`` of its pixels.

    In each the depth is off by one factor of up to a tenth, the normals are turned by one rotation of 40 to 70 degrees,
    and albedo and shading are multiplied by one colour each; the confidence stays as it is.

    Args:
        stored: in any conventions; share: of the pixels that have a value, exceeded by no
            more than the last rectangle; random: of place and kind.
    """
    arrays = {name: values.copy() for name, values in stored.arrays.items()}
    names = [name for name in ("depth", "normal", "albedo", "shading") if name in arrays]
    known = np.any([confidence_of(stored, name) > 0 for name in names], axis=0)
    wrong = np.zeros_like(known)
    height, width = known.shape
    largest = max(2, round(_PATCH * max(height, width)))
    rows, columns = np.nonzero(known)
    while len(rows) and wrong[known].mean() < share:
        middle = random.integers(len(rows))
        top, left = rows[middle] - largest // 2, columns[middle] - largest // 2
        size = random.integers(max(1, largest // 2), largest + 1, 2)
        patch = np.zeros_like(known)
        patch[max(top, 0) : max(top + size[0], 0), max(left, 0) : max(left + size[1], 0)] = True
        patch &= known & ~wrong
        if "depth" in arrays:
            arrays["depth"][patch] *= 1 + random.choice([-1, 1]) * random.uniform(0.2, 1) * _WRONG_DEPTH
        if "normal" in arrays:
            arrays["normal"][patch] = arrays["normal"][patch] @ _some_rotation(random).T
        for name in ("albedo", "shading"):
            if name in arrays:
                arrays[name][patch] *= random.uniform(0.4, 1.6, 3).astype(np.float32)
        wrong |= patch
    return StoredBundle(dataclasses.replace(stored.header, source=f"{stored.header.source}, corrupted"), arrays)


def _some_rotation(random: np.random.Generator) -> np.ndarray:
    """``[3, 3]`` float32 by 40 to 70 degrees about a random axis."""
    from scipy.spatial.transform import Rotation

    axis = random.normal(size=3)
    angle = np.radians(random.uniform(40, 70))
    return Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix().astype(np.float32)


def _with_confidence(maps: dict[str, np.ndarray], known: np.ndarray) -> dict[str, np.ndarray]:
    """The maps, 0 where they are not known, each with its confidence."""
    arrays = {}
    for name, values in maps.items():
        arrays[name] = np.where(known if values.ndim == 2 else known[..., None], values, 0).astype(np.float32)
        arrays[f"{name}_confidence"] = known.astype(np.float32)
    return arrays


def _at_size(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Blocks of a smaller map spread over the pixels that they are of; pixels beyond the last block have no value."""
    factor = size[0] // depth.shape[0]
    if factor <= 1:
        return depth
    spread = depth.repeat(factor, axis=0).repeat(factor, axis=1)
    full = np.zeros(size, np.float32)
    full[: spread.shape[0], : spread.shape[1]] = spread
    return full
