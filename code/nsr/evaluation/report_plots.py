"""The report's interactive figures, as plotly figures that need nothing from the network."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import trimesh

from nsr.evaluation.views import ViewScore
from nsr.scenes.frusta import frustum_line, viewpoint
from nsr.scenes.scene import Scene

INK = "#8a8f98"  # legible on light and on dark paper
TRAIN_COLOUR, HELDOUT_COLOUR = "#3b82f6", "#f59e0b"
EYE_DISTANCE = 2.9  # of the surface's radius, at which it fills plotly's field of view of 45 degrees
_NO_LOSSES = {"psnr": "PSNR of the step's rays, dB", "rays_per_second": "rays a second"}  # logged beside the terms
FRUSTUM = 0.12  # length of the drawn cameras, normalised frame


def mesh_figure(mesh: trimesh.Trimesh, colours: np.ndarray, scene: Scene, cameras):
    """The mesh in its colours and the cameras around it, in the normalised frame.

    Args:
        mesh: small enough for a page; colours: ``[V, 3]`` uint8; cameras: as the run has them now.
    """
    import plotly.graph_objects as go

    eye, up = viewpoint(cameras, scene.train_views)
    figure = go.Figure()
    figure.add_trace(
        go.Mesh3d(
            **dict(zip("xyz", mesh.vertices.T.astype(np.float32), strict=True)),
            **dict(zip("ijk", mesh.faces.T.astype(np.int32), strict=True)),
            vertexcolor=[f"rgb({r},{g},{b})" for r, g, b in colours],
            lighting={"ambient": 0.6, "diffuse": 0.45, "specular": 0.03},
            lightposition=dict(zip("xyz", (1e4 * eye).tolist(), strict=True)),
            hoverinfo="skip",
            name="surface",
        )
    )
    sizes = [tuple(mask.shape) for mask in scene.masks]
    for views, name, colour in (
        (scene.train_views, "training cameras", TRAIN_COLOUR),
        (scene.heldout_views, "held-out cameras", HELDOUT_COLOUR),
    ):
        if not views:
            continue
        corners = np.concatenate([frustum_line(cameras, view, sizes[view], FRUSTUM) for view in views])
        figure.add_trace(
            go.Scatter3d(
                **dict(zip("xyz", corners.T, strict=True)),
                mode="lines",
                line={"color": colour, "width": 2},
                name=name,
                hoverinfo="skip",
            )
        )
        centres = cameras.centres[views].detach().cpu().numpy()
        figure.add_trace(
            go.Scatter3d(
                **dict(zip("xyz", centres.T, strict=True)),
                mode="markers",
                marker={"color": colour, "size": 3},
                showlegend=False,
                text=[f"view {view}" for view in views],
                hoverinfo="text",
            )
        )
    centre = mesh.bounds.mean(axis=0)
    radius = float(np.linalg.norm(mesh.vertices - centre, axis=1).max())
    # plotly counts its camera in widths of the drawn cube
    half = 1.1 * max(1.0, cameras.centres.detach().abs().max().item())
    axis = {"visible": False, "range": [-half, half]}
    figure.update_layout(
        scene={
            "xaxis": axis,
            "yaxis": axis,
            "zaxis": axis,
            "aspectmode": "cube",
            "dragmode": "orbit",
            "camera": {
                "eye": _plotly_point((centre + EYE_DISTANCE * radius * eye) / (2 * half)),
                "up": _plotly_point(up),
                "center": _plotly_point(centre / (2 * half)),
            },
        },
        legend={"orientation": "h", "y": 0.02, "x": 0.02},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=620,
        paper_bgcolor="rgba(0,0,0,0)",
        font={"color": INK},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": INK},
    )
    return figure


def _plotly_point(point: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", point.tolist(), strict=True))


def psnr_figure(scores: list[ViewScore]):
    """A bar of PSNR (dB) per view, training and held-out views in their colours, and a line at each split's mean."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for split, name, colour in (
        ("train", "training views", TRAIN_COLOUR),
        ("heldout", "held-out views", HELDOUT_COLOUR),
    ):
        chosen = [score for score in scores if score.split == split]
        values = [score.psnr if np.isfinite(score.psnr) else None for score in chosen]
        if not chosen:
            continue
        figure.add_trace(go.Bar(x=[score.view for score in chosen], y=values, name=name, marker_color=colour))
        known = [value for value in values if value is not None]
        if known:
            figure.add_hline(y=float(np.mean(known)), line={"color": colour, "width": 1, "dash": "dot"})
    flat_layout(figure, height=300)
    figure.update_layout(legend={"orientation": "h", "y": 1.15}, bargap=0.25, hovermode="x unified")
    figure.update_xaxes(title="view")
    figure.update_yaxes(title="PSNR dB")
    return figure


def loss_figure(log: Path):
    """The logged terms over the steps on a logarithmic axis, and beside it what is no loss, each on its own: PSNR of
    the step's rays and rays a second.  None where the log is missing or has no numbers.

    Args:
        log: CSV, ``step`` first, then a named column per term.
    """
    from plotly.subplots import make_subplots

    if not log.is_file():
        return None
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else {})}
    drawn = {
        name: values for name, values in columns.items() if any(value is not None and value > 0 for value in values)
    }
    steps = columns.get("step", [])
    losses = [name for name in drawn if name not in ("step", *_NO_LOSSES)]
    others = [name for name in _NO_LOSSES if name in drawn]
    if not losses and not others:
        return None
    figure = make_subplots(
        max(len(others), 1),
        2 if others else 1,
        specs=[[{"rowspan": max(len(others), 1)}, *([{}] if others else [])], *([[None, {}]] * (len(others) - 1))],
        subplot_titles=["weighted loss terms", *(_NO_LOSSES[name] for name in others)],
        column_widths=[0.62, 0.38] if others else None,
        horizontal_spacing=0.08,
        vertical_spacing=0.2,
    )
    for name in losses:
        line = {"width": 2, "color": INK, "dash": "dot"} if name == "total" else {"width": 1.5}
        values = [value if value is not None and value > 0 else None for value in drawn[name]]
        figure.add_scatter(x=steps, y=values, mode="lines", name=name, line=line, row=1, col=1)
    for row, name in enumerate(others, start=1):
        line = {"width": 1.5, "color": TRAIN_COLOUR}
        figure.add_scatter(x=steps, y=drawn[name], mode="lines", name=name, line=line, showlegend=False, row=row, col=2)
    flat_layout(figure, height=460)
    figure.update_layout(legend={"orientation": "h", "y": -0.12}, margin={"l": 60, "r": 20, "t": 40, "b": 40})
    figure.update_xaxes(title="step", row=max(len(others), 1))
    figure.update_yaxes(type="log", dtick=1, exponentformat="power", row=1, col=1)
    return figure


def flat_layout(figure, height: int) -> None:
    """The look of the two-dimensional figures: no paper of their own, quiet grids; ``height`` in pixels."""
    figure.update_layout(
        height=height,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        font={"color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    grid = {"gridcolor": "rgba(138,143,152,.25)", "zeroline": False}
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid)


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
