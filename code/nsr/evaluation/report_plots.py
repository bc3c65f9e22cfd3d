"""The report's interactive figures, as plotly figures that need nothing from the network."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import trimesh

from nsr.scenes.frusta import frustum_line, viewpoint
from nsr.scenes.scene import Scene

INK = "#8a8f98"  # legible on light and on dark paper
TRAIN_COLOUR, HELDOUT_COLOUR = "#3b82f6", "#f59e0b"
EYE_DISTANCE = 0.42  # in plotly's units, the whole drawing being about 1 wide: just inside the ring of cameras
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
            lighting={"ambient": 0.8, "diffuse": 0.35, "specular": 0.05},
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
    hidden = {"visible": False}
    figure.update_layout(
        scene={
            "xaxis": hidden,
            "yaxis": hidden,
            "zaxis": hidden,
            "aspectmode": "data",
            "dragmode": "orbit",
            "camera": {
                "eye": dict(zip("xyz", (EYE_DISTANCE * eye).tolist(), strict=True)),
                "up": dict(zip("xyz", up.tolist(), strict=True)),
                "center": {"x": 0, "y": 0, "z": 0},
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


def loss_figure(log: Path):
    """The logged terms over the steps on a logarithmic axis; None where the log is missing or has no numbers.

    Args:
        log: CSV, ``step`` first, then a named column per term.
    """
    import plotly.graph_objects as go

    if not log.is_file():
        return None
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return None
    figure = go.Figure()
    steps = [_number(row["step"]) for row in rows]
    for name in rows[0]:
        values = [_number(row[name]) for row in rows]
        if name != "step" and any(value is not None and value > 0 for value in values):
            figure.add_trace(go.Scatter(x=steps, y=values, mode="lines", name=name, line={"width": 1.5}))
    if not figure.data:
        return None
    grid = {"gridcolor": "rgba(138,143,152,.25)", "zeroline": False}
    figure.update_layout(
        height=380,
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        font={"color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hovermode="x unified",
        xaxis={"title": "step", **grid},
        yaxis={"type": "log", "exponentformat": "power", **grid},
    )
    return figure


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
