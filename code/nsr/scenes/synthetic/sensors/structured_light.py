"""A projector of grid lines beside the camera, and the sparse depth that its lines give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nsr.scenes.synthetic.sensors.rectified import disparity_of, unseen_from_the_right


@dataclass(frozen=True)
class GridProjector:
    """Throws horizontal and vertical lines; stands ``baseline`` to the right of the camera and has its intrinsics.

    Attributes:
        baseline: in the depth's unit.
        pitch: distance of neighbouring lines, pixels of the projector.
        line_width: pixels of the projector.
    """

    baseline: float
    pitch: float = 24.0
    line_width: float = 2.0

    def lines(self, depth: np.ndarray, focal: float) -> np.ndarray:
        """How much of each pixel a line lights, ``[H, W]`` in [0, 1]; 0 in shadow and where there is nothing.

        Args:
            depth: ``[H, W]`` exact z-depth, 0 where there is nothing; focal: horizontal, pixels.
        """
        disparity = disparity_of(depth, focal, self.baseline)
        row, column = np.indices(depth.shape, dtype=np.float64)
        nearest = np.minimum(self._to_line(column - disparity), self._to_line(row))
        light = np.clip(self.line_width / 2 + 0.5 - nearest, 0, 1)
        # A point left of the projector's frame is out of the camera's way, not of the projector's.
        hidden = unseen_from_the_right(disparity) & (column >= disparity)
        return np.where((depth > 0) & ~hidden, light, 0.0)

    def _to_line(self, coordinate: np.ndarray) -> np.ndarray:
        return np.abs(coordinate - self.pitch * np.round(coordinate / self.pitch))


def pattern_picture(lines: np.ndarray, albedo: np.ndarray, cosine: np.ndarray, ambient: float = 0.1) -> np.ndarray:
    """``[H, W]`` uint8 picture under the lines of ``GridProjector.lines`` and a little room light.

    Args:
        lines: in [0, 1]; albedo: ``[H, W]`` grey in [0, 1]; cosine: between normal and the way to the device, which
            both kinds of light fall with.
    """
    light = np.clip(cosine, 0, 1) * (ambient + (1 - ambient) * lines)
    return np.round(255 * np.clip(albedo * light, 0, 1)).astype(np.uint8)


def sparse_depth(depth: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """``[H, W]`` float32: the depth where a line lights at least half of a pixel, 0 elsewhere."""
    return np.where(lines >= 0.5, depth, 0).astype(np.float32)


def interpolated_depth(sparse: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Dense depth from sparse: linear between samples (Delaunay triangles), nothing beyond them.

    Args:
        sparse: ``[H, W]``, 0 where there is no sample; wanted: ``[H, W]`` bool, where depth is asked for.

    Returns:
        ``[H, W]`` float32, 0 outside ``wanted`` and outside the samples' convex hull; samples are kept as they are.
    """
    from scipy.interpolate import LinearNDInterpolator
    from scipy.spatial import QhullError

    dense = sparse.astype(np.float32)
    known, asked = np.argwhere(sparse > 0), np.argwhere(wanted & (sparse <= 0))
    if not len(asked):
        return dense
    try:
        between = LinearNDInterpolator(known, sparse[sparse > 0], fill_value=0.0)
    except (QhullError, ValueError):  # no triangle: fewer than three samples, or all on one line
        return dense
    dense[tuple(asked.T)] = between(asked)
    return dense
