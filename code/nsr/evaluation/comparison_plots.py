"""The figures of a comparison of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nsr.evaluation.report_plots import flat_layout
from nsr.evaluation.views import ViewScore
from nsr.training.log_curves import Curve

# Okabe and Ito's colours: apart for all eyes, on light and on dark paper.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8f98", "#f0e442")
MOST_POINTS = 250  # of a drawn curve: more only hide each other's noise
COLUMNS = 2
ROW_HEIGHT = 260  # pixels


def curves_figure(names: Sequence[str], curves: Sequence[dict[str, Curve]]):
    """A small plot per tag with a line per run, over steps or, at a button, over minutes; None without any curve.

    Args:
        names: of the runs; curves: of each run, by tag.  Loss terms have logarithmic axes, on which a term that is 0
            has a gap.
    """
    from plotly.subplots import make_subplots

    tags = sorted({tag for run in curves for tag in run}, key=lambda tag: (not tag.endswith(("psnr", "total")), tag))
    if not tags:
        return None
    rows = -(-len(tags) // COLUMNS)
    figure = make_subplots(
        rows,
        COLUMNS,
        subplot_titles=tags,
        vertical_spacing=min(0.25 / rows, 0.1),
        horizontal_spacing=0.07,
    )
    steps, minutes, shown = [], [], set()
    for place, tag in enumerate(tags):
        cell = {"row": place // COLUMNS + 1, "col": place % COLUMNS + 1}
        drawn = [run[tag].values for run in curves if tag in run]
        logarithmic = tag.startswith("loss/") and any((values > 0).any() for values in drawn)
        for index, run in enumerate(curves):
            if tag not in run:
                continue
            curve = run[tag].thinned(MOST_POINTS)
            steps.append(curve.steps.round(1).tolist())
            minutes.append((curve.seconds / 60).round(3).tolist())
            figure.add_scatter(
                x=steps[-1],
                y=np.where(curve.values > 0, curve.values, np.nan) if logarithmic else curve.values,
                mode="lines",
                line={"color": COLOURS[index % len(COLOURS)], "width": 1.6},
                name=names[index],
                legendgroup=names[index],
                showlegend=index not in shown,
                **cell,
            )
            shown.add(index)
        if logarithmic:
            figure.update_yaxes(type="log", exponentformat="power", **cell)
    flat_layout(figure, height=60 + ROW_HEIGHT * rows)
    buttons = [
        {"label": f"over {label}", "method": "restyle", "args": [{"x": values}]}
        for label, values in (("steps", steps), ("minutes", minutes))
    ]
    above = 1 + 45 / (ROW_HEIGHT * rows)
    figure.update_layout(
        updatemenus=[
            {"type": "buttons", "direction": "right", "buttons": buttons, "x": 1, "xanchor": "right", "y": above,
             "yanchor": "bottom", "pad": {"r": 0, "t": 0}}
        ],
        legend={"orientation": "h", "x": 0, "y": -30 / (ROW_HEIGHT * rows), "yanchor": "top"},
        margin={"l": 60, "r": 20, "t": 90, "b": 40},
    )  # fmt: skip
    return figure


def views_figure(names: Sequence[str], scores: Sequence[list[ViewScore]]):
    """PSNR (dB) over the views' numbers, a colour per run; held-out views filled, training views hollow."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for index, (name, run) in enumerate(zip(names, scores, strict=True)):
        colour = COLOURS[index % len(COLOURS)]
        figure.add_scatter(
            x=[score.view for score in run],
            y=[score.psnr for score in run],
            mode="markers",
            marker={
                "color": colour,
                "size": 9,
                "symbol": ["circle" if score.split == "heldout" else "circle-open" for score in run],
            },
            name=name,
        )
    flat_layout(figure, height=380)
    figure.update_layout(hovermode="x unified", legend={"orientation": "h", "y": 1.12})
    figure.update_xaxes(title="view")
    figure.update_yaxes(title="PSNR dB")
    return figure
