"""Whether confidence means something: the error of priors by their confidence, where the truth is known."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_file
from nsr.errors import PriorError
from nsr.priors.bundle import METRIC, PriorBundle
from nsr.priors.losses import log_difference

UNITS = {"depth": "units of the normalised frame", "normal": "degrees", "albedo": "log ratio", "shading": "log ratio"}
_BINS = 10
_FEWEST = 20  # pixels, below which a bin says nothing


@dataclass(frozen=True)
class ConfidenceBin:
    """Pixels whose confidence is above ``low`` and at most ``high``.

    Attributes:
        pixels: how many there are; confidence: their mean; error: their mean, in ``UNITS`` of the kind.
    """

    low: float
    high: float
    pixels: int
    confidence: float
    error: float


def calibration(bundles: dict[int, PriorBundle], truth: dict[int, PriorBundle]) -> dict[str, list[ConfidenceBin]]:
    """Mean errors of each kind of map by confidence, over all views and the pixels that both know.

    Depth: absolute difference of metric ray lengths.  Normals: angle.  Albedo and shading: mean over channels of the
    difference of logarithms, after the view's best factor in each channel.

    Args:
        bundles, truth: by index of the view, in the engine's convention.

    Raises:
        PriorError: they have no map of any kind in common.
    """
    found: dict[str, list[ConfidenceBin]] = {}
    for kind in UNITS:
        of_views = [_errors(kind, bundles[view], truth[view]) for view in sorted(bundles.keys() & truth.keys())]
        confidence, error = (np.concatenate([pair[part] for pair in of_views] or [np.empty(0)]) for part in range(2))
        if len(error):
            found[kind] = _binned(confidence, error)
    if not found:
        raise PriorError("the bundles and the truth have no map of any kind in common")
    return found


def write_calibration(folder: str | Path, found: dict[str, list[ConfidenceBin]], title: str) -> tuple[Path, Path]:
    """Write ``calibration.csv`` and the curves, ``calibration.html``, into ``folder``; returns their paths."""
    import plotly.graph_objects as graph
    from plotly.subplots import make_subplots

    table, page = Path(folder) / "calibration.csv", Path(folder) / "calibration.html"
    with whole_file(table) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["kind", "unit", "above", "to", "pixels", "mean confidence", "mean error"])
        for kind, bins in found.items():
            for row in bins:
                numbers = (f"{value:.6g}" for value in (row.confidence, row.error))
                writer.writerow([kind, UNITS[kind], f"{row.low:g}", f"{row.high:g}", row.pixels, *numbers])
    figure = make_subplots(1, len(found), subplot_titles=[f"{kind}, {UNITS[kind]}" for kind in found])
    for column, (kind, bins) in enumerate(found.items(), 1):
        line = graph.Scatter(x=[row.confidence for row in bins], y=[row.error for row in bins], name=kind)
        figure.add_trace(line, row=1, col=column)
    figure.update_xaxes(title="confidence", range=[0, 1])
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(title=title, showlegend=False)
    with whole_file(page) as partial:
        figure.write_html(partial, include_plotlyjs=True)
    return table, page


def _errors(kind: str, bundle: PriorBundle, truth: PriorBundle) -> tuple[np.ndarray, np.ndarray]:
    """Confidence and error ``[K]`` of the pixels that both know."""
    values, exact = getattr(bundle, kind), getattr(truth, kind)
    if values is None or exact is None or (kind == "depth" and {bundle.depth_kind, truth.depth_kind} != {METRIC}):
        return np.empty(0), np.empty(0)
    confidence = getattr(bundle, f"{kind}_confidence")
    known = (confidence > 0) & (getattr(truth, f"{kind}_confidence") > 0)
    values, exact, confidence = values[known], exact[known], confidence[known]
    if kind == "depth":
        return confidence, np.abs(values - exact)
    if kind == "normal":
        return confidence, np.degrees(np.arccos((values * exact).sum(-1).clip(-1, 1)))
    one_view = torch.zeros(len(values), dtype=torch.int64)
    tensors = (torch.from_numpy(maps) for maps in (values, exact, confidence))
    return confidence, log_difference(*tensors, one_view, 1).numpy() / 3


def _binned(confidence: np.ndarray, error: np.ndarray) -> list[ConfidenceBin]:
    bins = []
    for place in range(_BINS):
        low, high = place / _BINS, (place + 1) / _BINS
        inside = (confidence > low) & (confidence <= high)
        if inside.sum() >= _FEWEST:
            mean_confidence, mean_error = float(confidence[inside].mean()), float(error[inside].mean())
            bins.append(ConfidenceBin(low, high, int(inside.sum()), mean_confidence, mean_error))
    return bins
