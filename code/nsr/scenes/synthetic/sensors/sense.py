"""``sense_scene``: what sensors would have seen of a synthetic scene, from its ground truth, as files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.scenes.camera_file import read_camera_file
from nsr.scenes.idr_folder import CAMERA_FILE
from nsr.scenes.pictures import write_picture
from nsr.scenes.synthetic.ground_truth import ViewTruth, list_truth
from nsr.scenes.synthetic.sensors.infrared import infrared_contrast, infrared_picture
from nsr.scenes.synthetic.sensors.low_resolution import decimated_depth
from nsr.scenes.synthetic.sensors.rectified import disparity_of
from nsr.scenes.synthetic.sensors.spec import SensorSpec
from nsr.scenes.synthetic.sensors.stereo import StereoSensor
from nsr.scenes.synthetic.sensors.structured_light import (
    GridProjector,
    interpolated_depth,
    pattern_picture,
    sparse_depth,
)

SENSOR_FOLDER = "sensors"
SENSOR_FILE = "sensors.json"
_LARGEST_COUNT = 65_535  # of a 16-bit picture
_GREY = np.array([0.2126, 0.7152, 0.0722])  # of linear RGB (ITU-R BT.709)


def sense_scene(folder: str | Path, spec: SensorSpec) -> Path:
    """Write what the sensors of ``spec`` see of the synthetic scene in ``folder``.

    ``sensors/`` gets a folder for each map, a picture ``NNN.png`` a view in it, and ``sensors.json`` with the spec, the
    unit and the intrinsics.  Depth is z-depth along the optical axis, 16 bit, in steps of ``spec.depth_unit`` world
    units, 0 where nothing was measured; the other pictures are 8 bit, linear grey:

    * ``stereo_depth``, ``infrared``: the stereo camera's;
    * ``pattern``, ``sparse_depth``, ``interpolated_depth``: the projector's lines, depth on them, and between them;
    * ``low_resolution_depth``: of fewer pixels.

    Each view draws its noise from the seed and its number: equal specs make equal files.  In a room the walls are
    measured too.

    Returns:
        the folder ``sensors/``; it appears whole or not at all.

    Raises:
        SceneError: the scene is not a synthetic one, has been sensed already, the spec cannot be used, a depth exceeds
            what 16 bits hold, or the disk refuses.
    """
    spec.check()
    if not spec.any:
        raise SceneError("no sensor is on: set stereo, structured_light or low_resolution")
    folder = Path(folder)
    target = folder / SENSOR_FOLDER
    if target.exists():
        raise SceneError(f"{target} exists already; take it away to sense the scene anew")
    truth = list_truth(folder)
    cameras, scale_matrix = read_camera_file(folder / CAMERA_FILE).cameras(len(truth))
    scale = float(np.cbrt(np.linalg.det(scale_matrix[:3, :3])))
    try:
        with whole_folder(target) as partial:
            for index, path in enumerate(truth):
                view = ViewTruth.read(path, cameras.intrinsics[index].numpy(), cameras.poses[index].numpy())
                for name, picture in sense_view(view, spec, scale, index).items():
                    (partial / name).mkdir(exist_ok=True)
                    write_picture(partial / name / f"{index:03d}.png", picture)
            description = _description(spec, scale, cameras.intrinsics.tolist())
            (partial / SENSOR_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SceneError(f"{target}: cannot be written ({error.strerror or error})") from error
    return target


def sense_view(view: ViewTruth, spec: SensorSpec, scale: float, index: int) -> dict[str, np.ndarray]:
    """The pictures of one view, by their folder's name.

    Args:
        view: its truth, depth in world units; scale: world units per unit of the normalised frame; index: its number.
    """
    random = np.random.default_rng([spec.seed, index])
    focal, baseline = float(view.intrinsics[0, 0]), spec.baseline * scale
    depth, cosine = view.depth.astype(np.float64), view.cosine()
    albedo, shading = view.albedo @ _GREY, view.shading @ _GREY
    pictures: dict[str, np.ndarray] = {}
    depths: dict[str, np.ndarray] = {}
    if spec.stereo:
        sensor = StereoSensor(
            baseline, spec.noise, spec.correlation, spec.disparity_steps, spec.fattening, True, spec.least_cosine,
            spec.least_signal, spec.speckle, spec.nearest * scale, spec.farthest * scale,
        )  # fmt: skip
        contrast = infrared_contrast(albedo, depth, cosine)
        disparity = disparity_of(depth, focal, baseline)
        depths["stereo_depth"] = sensor.measure(depth, focal, random, cosine, contrast)
        pictures["infrared"] = infrared_picture(albedo, shading, contrast, cosine, disparity, random)
    if spec.structured_light:
        lines = GridProjector(baseline, spec.pitch, spec.line_width).lines(depth, focal)
        lines = np.where(cosine >= spec.least_cosine, lines, 0)
        pictures["pattern"] = pattern_picture(lines, albedo, cosine)
        depths["sparse_depth"] = sparse_depth(depth, lines)
        depths["interpolated_depth"] = interpolated_depth(depths["sparse_depth"], depth > 0)
    if spec.low_resolution:
        depths["low_resolution_depth"] = decimated_depth(depth, spec.low_resolution, spec.decimation)
    return {**pictures, **{name: _counts(values, spec.depth_unit) for name, values in depths.items()}}


def _counts(depth: np.ndarray, unit: float) -> np.ndarray:
    counts = np.round(depth / unit)
    if counts.max(initial=0) > _LARGEST_COUNT:
        raise SceneError(
            f"a depth of {depth.max():g} world units does not fit 16 bits in steps of {unit:g}; raise "
            "sensors.depth_unit"
        )
    return counts.astype(np.uint16)


def _description(spec: SensorSpec, scale: float, intrinsics: list) -> dict:
    return {
        "conventions": "depth pictures: 16 bit, z-depth along the optical axis in steps of depth_unit world units, 0 = "
        "not measured; other pictures: 8 bit, linear grey; intrinsics: per view, pixel (0, 0) is the first pixel's "
        "centre; in low_resolution_depth pixel (i, j) covers the view's pixels from (i, j) * low_resolution on",
        "depth_unit": spec.depth_unit,
        "baseline": spec.baseline * scale,
        "intrinsics": intrinsics,
        "spec": dataclasses.asdict(spec),
    }
