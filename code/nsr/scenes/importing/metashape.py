"""Agisoft Metashape's camera files (File > Export > Export Cameras, Agisoft XML).

Camera model as in the Metashape manual, appendix D: ``transform`` is camera to chunk, OpenCV axes; the middle of the
first pixel is (0.5, 0.5), and cx, cy count from the middle of the picture.  The world is the chunk's inner frame: a
georeference would put numbers of millions of metres into it.
"""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.importing.files import find_photographs
from nsr.scenes.importing.lens import Lens
from nsr.scenes.importing.source import Source, SourceView, pinhole_matrix, rigid_pose

PROJECTIONS = {"frame": "perspective", "fisheye": "equidistant"}

logger = logging.getLogger("nsr")


def find_xml(source: Path) -> Path | None:
    """Metashape's file in ``source`` (or ``source`` itself), or None."""
    for path in [source] if source.is_file() else sorted(source.glob("*.xml")):
        if path.suffix.lower() == ".xml" and b"<chunk" in path.open("rb").read(4096):
            return path
    return None


def read_metashape(source: Path, images: Path | None = None) -> Source:
    """Read Metashape's XML; cameras that it could not align, or that are switched off, are left out.

    Raises:
        SceneError: not such a file, a sensor without calibration or of an unknown kind, or missing photographs.
    """
    path = find_xml(source)
    if path is None:
        raise SceneError(f"{source}: there is no Metashape camera file (.xml with a chunk) here")
    try:
        chunk = ElementTree.parse(path).getroot().find("chunk")
    except ElementTree.ParseError as error:
        raise SceneError(f"{path}: not XML, or cut short ({error})") from error
    if chunk is None:
        raise SceneError(f"{path}: it has no chunk; export the cameras as Agisoft XML")
    entries = [
        camera for camera in chunk.iterfind("cameras//camera") if camera.get("enabled", "true") not in ("false", "0")
    ]
    aligned = [camera for camera in entries if camera.find("transform") is not None]
    if not aligned:
        raise SceneError(f"{path}: none of its {len(entries)} cameras is aligned; run Align Photos first")
    component = Counter(camera.get("component_id") for camera in aligned).most_common(1)[0][0]
    kept = sorted((c for c in aligned if c.get("component_id") == component), key=lambda c: c.get("label", ""))
    if len(kept) < len(entries):
        logger.warning(
            f"{path}: {len(entries) - len(kept)} of {len(entries)} cameras are not aligned to the others: left out"
        )
    sensors = {sensor.get("id"): sensor for sensor in chunk.iterfind("sensors/sensor")}
    cameras = {sensor: _sensor(sensors, sensor, path) for sensor in {camera.get("sensor_id") for camera in kept}}
    labels = [camera.get("label", "") for camera in kept]
    files = find_photographs(labels, [images] if images else [path.parent, path.parent / "images"])
    views = []
    for camera, label, file in zip(kept, labels, files, strict=True):
        intrinsics, lens, size = cameras[camera.get("sensor_id")]
        values = _floats(camera.find("transform"), f"{path}: {label}", 16)
        views.append(
            SourceView(label, file, intrinsics, rigid_pose(values.reshape(4, 4), f"{path}: {label}"), size, lens)
        )
    return Source("metashape", views)


def _floats(element: ElementTree.Element, where: str, count: int) -> np.ndarray:
    try:
        values = np.array([float(value) for value in (element.text or "").split()])
    except ValueError as error:
        raise SceneError(f"{where}: {element.tag} is not made of numbers") from error
    if len(values) != count:
        raise SceneError(f"{where}: {element.tag} must be {count} numbers; it has {len(values)}")
    return values


def _sensor(sensors: dict, number: str | None, path: Path) -> tuple[np.ndarray, Lens, tuple[int, int]]:
    """Intrinsics, lens and size of a sensor."""
    where = f"{path}: sensor {number}"
    sensor = sensors.get(number)
    if sensor is None:
        raise SceneError(f"{where} is not in the file")
    kind = sensor.get("type", "frame")
    if kind not in PROJECTIONS:
        raise SceneError(f"{where}: unknown kind {kind}; known are {', '.join(PROJECTIONS)}")
    calibrations = sensor.findall("calibration")
    adjusted = [calibration for calibration in calibrations if calibration.get("class") == "adjusted"]
    if not calibrations:
        raise SceneError(f"{where}: it has no calibration; optimise the cameras before exporting them")
    calibration = (adjusted or calibrations)[0]
    resolution = calibration.find("resolution")
    resolution = sensor.find("resolution") if resolution is None else resolution
    try:
        height, width = int(resolution.get("height")), int(resolution.get("width"))
    except (AttributeError, TypeError, ValueError) as error:
        raise SceneError(f"{where}: its resolution is missing") from error

    def value(name: str) -> float:
        element = calibration.find(name)
        return 0.0 if element is None else float(_floats(element, where, 1)[0])

    focal = value("f")
    if not focal > 0:
        raise SceneError(f"{where}: its focal length f is missing")
    if value("p3") or value("p4"):
        raise SceneError(f"{where}: tangential terms p3 and p4 are not supported; calibrate with p1 and p2 only")
    intrinsics = pinhole_matrix(
        focal + value("b1"), focal, width / 2 + value("cx") - 0.5, height / 2 + value("cy") - 0.5, value("b2")
    )
    radial = tuple(value(name) for name in ("k1", "k2", "k3", "k4"))
    # Metashape's p1 goes with r^2 + 2 x^2, which is OpenCV's p2.
    return intrinsics, Lens(PROJECTIONS[kind], radial=radial, tangential=(value("p2"), value("p1"))), (height, width)
