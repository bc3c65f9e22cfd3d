"""Photographs of an object that stands in a ring of printed ArUco markers: the markers give the cameras.

The board's frame is the world: x to the right, y away along the sheet, z up from it, the origin at the sheet's lower
left marker corner, in the unit of the marker's side (say millimetres: the reconstruction then has true size).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from nsr.atomic import whole_file
from nsr.errors import SceneError
from nsr.scenes.importing.files import list_photographs
from nsr.scenes.importing.lens import Lens
from nsr.scenes.importing.photograph import header, read_photograph
from nsr.scenes.importing.source import Source, SourceView

DICTIONARY = cv2.aruco.DICT_4X4_100
MARKERS = 100
FEWEST_VIEWS = 3
FEWEST_MARKERS = 2  # in one photograph
LARGEST_ERROR = 3.0  # pixels, of the calibration
MILLIMETRES_PER_INCH = 25.4

logger = logging.getLogger("nsr")


@dataclass(frozen=True)
class MarkerRing:
    """Square markers along the border of a sheet; the object stands in the middle.

    Attributes:
        columns, rows: markers along the sheet's sides.
        marker: side of a marker; gap: between two; any unit of length, millimetres on the printed sheet.
    """

    columns: int = 7
    rows: int = 5
    marker: float = 30.0
    gap: float = 8.0

    def check(self) -> None:
        """Raise a ``SceneError`` for a ring that cannot be."""
        if self.columns < 3 or self.rows < 3 or not (self.marker > 0 and self.gap > 0):
            raise SceneError("a ring of markers needs at least 3 columns and 3 rows, and a marker and a gap above zero")
        if len(self.cells) > MARKERS:
            raise SceneError(
                f"a ring of {self.columns} x {self.rows} has {len(self.cells)} markers; {MARKERS} are known"
            )

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Column and row (from the top) of every marker; its index is its number."""
        border = [0, self.columns - 1], [0, self.rows - 1]
        return [
            (column, row)
            for row in range(self.rows)
            for column in range(self.columns)
            if column in border[0] or row in border[1]
        ]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        pitch = self.marker + self.gap
        return self.columns * pitch - self.gap, self.rows * pitch - self.gap

    @property
    def corners(self) -> np.ndarray:
        """``[M, 4, 3]`` float32: of every marker, clockwise from its upper left corner, in the world."""
        pitch, height = self.marker + self.gap, self.size[1]
        square = np.array([[0, 0, 0], [1, 0, 0], [1, -1, 0], [0, -1, 0]]) * self.marker
        return np.array([square + (c * pitch, height - r * pitch, 0) for c, r in self.cells], dtype=np.float32)

    @property
    def sphere(self) -> tuple[np.ndarray, float]:
        """Where an object in the ring is likely to be: centre and radius."""
        width, height = (side - 2 * (self.marker + self.gap) for side in self.size)
        radius = max(width, height) / 2
        return np.array([self.size[0] / 2, self.size[1] / 2, 0.8 * radius]), radius

    def picture(self, pixels_per_unit: float) -> np.ndarray:
        """``[H, W]`` uint8: the sheet as it is printed, without a margin."""
        self.check()
        dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARY)
        side, pitch = round(self.marker * pixels_per_unit), (self.marker + self.gap) * pixels_per_unit
        sheet = np.full([round(length * pixels_per_unit) for length in self.size[::-1]], 255, dtype=np.uint8)
        for number, (column, row) in enumerate(self.cells):
            top, left = round(row * pitch), round(column * pitch)
            sheet[top : top + side, left : left + side] = cv2.aruco.generateImageMarker(dictionary, number, side)
        return sheet


def write_board(path: str | Path, ring: MarkerRing = MarkerRing(), dots_per_inch: int = 300) -> None:
    """Write a sheet of markers to be printed at its true size, a gap of white round it.

    Args:
        path: PNG or PDF; it carries its resolution.  ring: in millimetres.

    Raises:
        SceneError: the ring cannot be, or the file cannot be written.
    """
    scale = dots_per_inch / MILLIMETRES_PER_INCH
    sheet = np.pad(ring.picture(scale), round(ring.gap * scale), constant_values=255)
    if Path(path).suffix.lower() not in (".png", ".pdf"):
        raise SceneError(f"{path}: give a .png or .pdf")
    try:
        with whole_file(path) as partial:
            Image.fromarray(sheet).save(partial, dpi=(dots_per_inch, dots_per_inch), resolution=dots_per_inch)
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_board(source: Path, images: Path | None = None, ring: MarkerRing = MarkerRing()) -> Source:
    """Find the cameras of photographs of a ``MarkerRing`` (one camera, one zoom) by calibration (Zhang 2000).

    Photographs that show fewer than two markers are left out.

    Raises:
        SceneError: too few photographs show the board, sizes differ, or the markers do not fit the ring's measures.
    """
    ring.check()
    folder = images or next((f for f in (source, source / "images", source / "image") if list_photographs(f)), source)
    files = list_photographs(folder)
    detected = [(file, *_detect(file, ring)) for file in files]
    seen = [entry for entry in detected if len(entry[1]) >= FEWEST_MARKERS]
    if len(seen) < FEWEST_VIEWS:
        raise SceneError(
            f"{folder}: the board is seen in {len(seen)} of {len(files)} photographs ({FEWEST_MARKERS} markers each); "
            f"{FEWEST_VIEWS} are needed: print it with 'nsr scene board', and keep it sharp and in the frame"
        )
    if len(seen) < len(files):
        missing = [file.name for file, numbers, *_ in detected if len(numbers) < FEWEST_MARKERS]
        logger.warning(
            f"{folder}: the board is not seen in {', '.join(missing[:8])}; {len(missing)} photographs left out"
        )
    sizes = {entry[3] for entry in seen}
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for height, width in sorted(sizes)[:3])
        raise SceneError(f"{folder}: photographs of a board must have one size and one zoom; these have {shown}")
    objects = [ring.corners[numbers].reshape(-1, 3) for _, numbers, *_ in seen]
    pixels = [corners.reshape(-1, 2) for _, _, corners, *_ in seen]
    (height, width), flags = sizes.pop(), cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3
    try:
        error, intrinsics, distortion, rotations, shifts = cv2.calibrateCamera(
            objects, pixels, (width, height), None, None, flags=flags
        )
    except cv2.error as failure:
        raise SceneError(f"{folder}: the camera cannot be calibrated; look at the board from more sides") from failure
    if not error < LARGEST_ERROR:
        raise SceneError(
            f"{folder}: the markers miss the ring's measures by {error:.1f} pixels: check --board (columns, rows, "
            "marker, gap), that the sheet is flat, and that the zoom was not changed"
        )
    lens = Lens(radial=(float(distortion.ravel()[0]),))
    views = []
    for (file, _, _, size, orientation), rotation, shift in zip(seen, rotations, shifts, strict=True):
        matrix = cv2.Rodrigues(rotation)[0]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = matrix.T, -matrix.T @ shift.ravel()
        views.append(SourceView(file.name, file, intrinsics, pose, size, lens, orientation=orientation))
    return Source("board", views, sphere=ring.sphere)


def _detect(file: Path, ring: MarkerRing) -> tuple[list[int], np.ndarray, tuple[int, int], int]:
    """The numbers of the ring's markers in a photograph, their corners ``[N, 4, 2]``, its size and orientation."""
    orientation = header(file)[1]
    grey = cv2.cvtColor(read_photograph(file, orientation), cv2.COLOR_RGB2GRAY)
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    parameters.cornerRefinementMinAccuracy = 1e-3
    parameters.cornerRefinementMaxIterations = 100
    parameters.relativeCornerRefinmentWinSize = 0.6
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(DICTIONARY), parameters)
    corners, numbers, _ = detector.detectMarkers(grey)
    found = {} if numbers is None else dict(zip(numbers.ravel().tolist(), corners, strict=True))
    kept = sorted(number for number in found if number < len(ring.cells))
    pixels = np.array([found[number].reshape(4, 2) for number in kept], dtype=np.float32).reshape(-1, 4, 2)
    return kept, pixels, grey.shape, orientation
