"""The interactive page of a running training: surface, cameras and where rays hit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from nsr.atomic import whole_file
from nsr.scenes.cameras import Cameras
from nsr.scenes.frusta import frustum_line, viewpoint
from nsr.scenes.scene import Scene

FRUSTUM = 0.15  # length of the drawn cameras, normalised frame
HIT_COLOURS = [[0, "#dc2626"], [0.5, "#facc15"], [1, "#2563eb"]]  # inside, on the surface, outside
EYE_DISTANCE = 0.8  # in plotly's units, the whole drawing being about 1 wide


def write_run_page(
    path: Path,
    scene: Scene,
    cameras: Cameras,
    mesh: trimesh.Trimesh | None,
    colours: np.ndarray | None,
    points: np.ndarray,
    sdf: np.ndarray,
    views: np.ndarray,
) -> None:
    """Write one HTML file that opens without a network.

    Args:
        scene: for its training views and sizes; cameras: as the run has them now.
        mesh: in the normalised frame, with ``colours [V, 3]`` uint8; None where there is no surface.
        points: ``[S, 3]`` hits of rays, in the normalised frame; sdf: ``[S]`` the field there; views: ``[S]`` which
            camera's rays they are.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    if mesh is not None:
        figure.add_trace(
            go.Mesh3d(
                **_xyz(mesh.vertices),
                **dict(zip("ijk", mesh.faces.T.astype(np.int32), strict=True)),
                vertexcolor=[f"rgb({r},{g},{b})" for r, g, b in colours],
                lighting={"ambient": 0.75, "diffuse": 0.4, "specular": 0.05},
                hoverinfo="skip",
                name="surface",
                showlegend=True,
            )
        )
    figure.add_trace(
        go.Scatter3d(
            **_xyz(points),
            mode="markers",
            marker={"size": 2, "color": sdf, "colorscale": HIT_COLOURS, "cmid": 0, "colorbar": {"title": "SDF"}},
            text=[f"SDF {value:+.2e}<br>ray of view {view}" for value, view in zip(sdf, views, strict=True)],
            hoverinfo="text",
            name="hits",
        )
    )
    drawn = scene.train_views
    lines = np.concatenate([frustum_line(cameras, view, tuple(scene.masks[view].shape), FRUSTUM) for view in drawn])
    figure.add_trace(go.Scatter3d(**_xyz(lines), mode="lines", line={"width": 2}, hoverinfo="skip", name="cameras"))
    figure.add_trace(
        go.Scatter3d(
            **_xyz(cameras.centres[drawn].cpu().numpy()),
            mode="markers",
            marker={"size": 3},
            text=[f"view {view}" for view in drawn],
            hoverinfo="text",
            name="centres",
        )
    )
    eye, up = viewpoint(cameras, drawn)
    axes = {f"{axis}axis": {"visible": False} for axis in "xyz"}
    camera = {
        "eye": dict(zip("xyz", (EYE_DISTANCE * eye).tolist(), strict=True)),
        "up": dict(zip("xyz", up.tolist(), strict=True)),
        "center": {"x": 0, "y": 0, "z": 0},
    }
    figure.update_layout(
        title=f"{scene.name}: {path.stem}",
        scene={**axes, "aspectmode": "data", "dragmode": "orbit", "camera": camera},
        legend={"orientation": "h", "y": 0},
        margin={"l": 0, "r": 0, "t": 40, "b": 0},
    )
    with whole_file(path) as partial:
        figure.write_html(partial, include_plotlyjs=True, default_height="95vh")


def _xyz(points: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip("xyz", np.asarray(points, dtype=np.float32).T, strict=True))
