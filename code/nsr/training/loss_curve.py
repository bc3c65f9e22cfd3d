"""The curve of the loss and how fast it still falls at the end, from a run's TensorBoard log."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.errors import CheckpointError
from nsr.training.log_curves import read_curves
from nsr.training.run_folder import LOG_FOLDER, PLOT_FOLDER

LOSS_TAG = "loss/total"
LAST_PART = 0.25  # of the run, over which the slope is taken


def loss_slope(steps: np.ndarray, losses: np.ndarray) -> float:
    """Least-squares slope of the loss over the last quarter of the run, per 1000 steps.

    Args:
        steps: ``[N]`` ascending; losses: ``[N]``; at least two of them in the last quarter.
    """
    recent = steps >= steps[-1] - LAST_PART * (steps[-1] - steps[0])
    return float(np.polyfit(steps[recent], losses[recent], 1)[0]) * 1000


def write_loss_curve(run_folder: str | Path, title: str) -> str:
    """Draw the loss of a run into ``plots/loss.html``.

    Returns:
        one line for people: how fast the loss still falls, and where the curve is.

    Raises:
        CheckpointError: the run has no log, or one of fewer than two points.
    """
    curve = read_curves(run_folder).get(LOSS_TAG)
    count = 0 if curve is None else len(curve.steps)
    if count < 2:
        logs = Path(run_folder) / LOG_FOLDER
        raise CheckpointError(f"{logs}: the log has {count} values of {LOSS_TAG}; a slope needs two")
    steps, losses = curve.steps, curve.values
    slope = loss_slope(steps, losses)
    path = Path(run_folder) / PLOT_FOLDER / "loss.html"
    import plotly.graph_objects as graph

    figure = graph.Figure(graph.Scatter(x=steps, y=losses, mode="lines"))
    figure.update_layout(title=title, xaxis_title="step", yaxis_title="loss")
    with whole_file(path) as partial:
        figure.write_html(partial)
    return f"loss slope: {slope:+.3g} per 1000 steps over the last quarter (now {losses[-1]:.4g}); curve: {path}"
