"""Curves over epochs as a PNG, without a plotting library."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_file
from nsr.scenes.pictures import write_picture

_SIZE = 900, 520  # width, height
_LEFT, _RIGHT, _TOP, _BOTTOM = 90, 190, 30, 60
_COLOURS = (
    (31, 119, 180),
    (214, 39, 40),
    (44, 160, 44),
    (148, 103, 189),
    (255, 127, 14),
    (23, 120, 130),
    (120, 120, 120),
)
_GREY = (90, 90, 90)


def write_curves(
    path: Path, x: list[float], curves: dict[str, list[float]], x_label: str = "epoch", logarithmic: bool = True
) -> None:
    """Draw curves over a common axis; what is not above 0 is left out.

    Args:
        path: of the PNG, which appears whole or not at all.
        x: ``[N]`` ascending; curves: ``[N]`` values by name.
        logarithmic: the scale of the values.
    """
    width, height = _SIZE
    canvas = np.full((height, width, 3), 255, np.uint8)
    positive = [value for values in curves.values() for value in values if value > 0 and math.isfinite(value)]
    low, high = (min(positive), max(positive)) if positive else (0.1, 1.0)
    on_scale, value_at = (math.log10, lambda up: 10**up) if logarithmic else (float, float)
    margin = 0.05 if logarithmic else 0.05 * (high - low) + 1e-9
    bottom, top = on_scale(low) - margin, on_scale(high) + margin
    last = max(x[-1], x[0] + 1)

    def place(at: float, value: float) -> tuple[int, int]:
        across = (at - x[0]) / (last - x[0])
        up = (on_scale(value) - bottom) / (top - bottom)
        return (
            round(_LEFT + across * (width - _LEFT - _RIGHT)),
            round(height - _BOTTOM - up * (height - _TOP - _BOTTOM)),
        )

    for value in map(value_at, np.linspace(bottom, top, 6)):
        left, right = place(x[0], value), place(last, value)
        cv2.line(canvas, left, right, (228, 228, 228), 1, cv2.LINE_AA)
        _text(canvas, f"{value:.3g}", (8, left[1] + 5), _GREY)
    for at in np.unique(np.linspace(x[0], last, 6).round().astype(int)):
        _text(canvas, str(at), (place(at, low)[0] - 6, height - _BOTTOM + 22), _GREY)
    _text(canvas, x_label, ((width - _RIGHT + _LEFT) // 2 - 20, height - 14), _GREY)
    for index, (name, values) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        points = [place(at, value) for at, value in zip(x, values, strict=True) if value > 0 and math.isfinite(value)]
        cv2.polylines(canvas, [np.array(points, np.int32).reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA)
        for point in points if len(points) < 3 else ():
            cv2.circle(canvas, point, 3, colour, -1, cv2.LINE_AA)
        _text(canvas, name, (width - _RIGHT + 14, _TOP + 14 + 22 * index), colour)
    with whole_file(path) as partial:
        write_picture(partial, canvas)


def _text(canvas: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
