"""Results as pictures: values in colours with their scale beside them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_file
from nsr.priors.networks.common.task import Panel
from nsr.scenes.pictures import as_uint8, write_picture

PANEL_HEIGHT = 300
_TITLE_HEIGHT, _SCALE_WIDTH, _GAP = 26, 78, 10
_INVALID = np.array([1.0, 1.0, 1.0])


def coloured(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """``[H, W]`` values as ``[H, W, 3]`` colours in [0, 1]; white where they are not finite.

    Limits symmetric about 0 give a deviation (blue below, near-white at 0, red above), others a scale from dark blue to
    yellow.
    """
    low, high = limits
    position = np.nan_to_num((values - low) / max(high - low, 1e-12)).clip(0, 1)
    if low == -high:
        signed = 2 * position - 1
        blue, red = np.array([0.13, 0.30, 0.75]), np.array([0.80, 0.12, 0.15])
        end = np.where((signed < 0)[..., None], blue, red)
        picture = 0.93 + np.abs(signed)[..., None] * (end - 0.93)
    else:
        table = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1] / 255
        picture = table[as_uint8(position)]
    return np.where(np.isfinite(values)[..., None], picture, _INVALID)


def write_panels(path: Path, panels: list[Panel], columns: int = 0) -> None:
    """Draw panels side by side, in rows of ``columns`` (0: one row), each with its title and scale.

    The PNG appears whole or not at all.
    """
    drawn = [_draw(panel) for panel in panels]
    columns = columns or len(drawn)
    rows = [np.concatenate(drawn[start : start + columns], axis=1) for start in range(0, len(drawn), columns)]
    widest = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    with whole_file(path) as partial:
        write_picture(partial, np.concatenate(rows))


def _draw(panel: Panel) -> np.ndarray:
    is_colour = panel.picture.ndim == 3
    picture = panel.picture if is_colour else coloured(panel.picture, panel.limits)
    height, width = picture.shape[:2]
    shown = max(round(width * PANEL_HEIGHT / height), 1)
    picture = cv2.resize(as_uint8(picture), (shown, PANEL_HEIGHT), interpolation=cv2.INTER_AREA)
    canvas = np.full(
        (PANEL_HEIGHT + _TITLE_HEIGHT + _GAP, shown + _SCALE_WIDTH * (not is_colour) + _GAP, 3), 255, np.uint8
    )
    canvas[_TITLE_HEIGHT : _TITLE_HEIGHT + PANEL_HEIGHT, :shown] = picture
    _text(canvas, panel.title, (2, 18))
    if not is_colour:
        low, high = panel.limits
        ramp = coloured(np.linspace(high, low, PANEL_HEIGHT)[:, None].repeat(12, axis=1), panel.limits)
        canvas[_TITLE_HEIGHT : _TITLE_HEIGHT + PANEL_HEIGHT, shown + 5 : shown + 17] = as_uint8(ramp)
        _text(canvas, f"{high:.4g}", (shown + 21, _TITLE_HEIGHT + 12))
        _text(canvas, f"{low:.4g}", (shown + 21, _TITLE_HEIGHT + PANEL_HEIGHT - 2))
        _text(canvas, panel.unit, (shown + 21, _TITLE_HEIGHT + PANEL_HEIGHT // 2))
    return canvas


def _text(canvas: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (60, 60, 60), 1, cv2.LINE_AA)
