"""A scene on one HTML page: its cameras in 3D, its masks' outlines, and what the check found."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import cv2
import numpy as np

from nsr.atomic import whole_file
from nsr.errors import SceneError
from nsr.scenes.check import CheckReport
from nsr.scenes.frusta import frustum_line, viewpoint
from nsr.scenes.scene import Scene
from nsr.scenes.visual_hull import VisualHull

THUMBNAIL = 320  # pixels of the longer side
OUTLINE = (255, 60, 60)
SPHERE = (60, 160, 255)
FRUSTUM = 0.2  # length of the drawn cameras, normalised frame
HULL_RESOLUTION = 64

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 24px auto; max-width: 1240px; padding: 0 16px; color: #1c1e21; }
ul { padding-left: 20px; } .error { color: #b91c1c; } .warning { color: #b45309; } .information { color: #555; }
.views { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 12px; }
figure { margin: 0; } img { width: 100%; border-radius: 6px; display: block; }
figcaption { font-size: 13px; color: #555; }
"""


def write_check_page(path: str | Path, scene: Scene, report: CheckReport) -> None:
    """Write one HTML file that opens without a network.

    Masks are outlined in red; in blue is where the unit sphere is seen.

    Args:
        scene: loaded; report: of its check.

    Raises:
        SceneError: the file cannot be written.
    """
    names = {facts.view: facts.name for facts in report.views}
    figures = [view_figure(scene, view, names.get(view, f"view {view}")) for view in range(len(scene))]
    body = (
        f"<h1>{html.escape(scene.name)}</h1>{findings_list(report)}<h2>Cameras</h2>{_cameras(scene)}"
        f'<h2>Masks</h2><p>Red: the mask. Blue: the unit sphere.</p><div class="views">{"".join(figures)}</div>'
    )
    try:
        with whole_file(path) as partial:
            partial.write_text(
                f'<!doctype html><html><head><meta charset="utf-8"><title>{html.escape(scene.name)}</title>'
                f"<style>{STYLE}</style></head><body>{body}</body></html>",
                encoding="utf-8",
            )
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror or error})") from error


def findings_list(report: CheckReport) -> str:
    """What a check found as an HTML list, a line per finding, whose class is its kind; empty where it found nothing."""
    lines = [
        f'<li class="{kind}"><b>{kind}</b>: {html.escape(entry)}</li>'
        for kind, entries in (
            ("error", report.errors),
            ("warning", report.warnings),
            ("information", report.information),
        )
        for entry in entries
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _cameras(scene: Scene) -> str:
    """The frusta, the unit sphere and, where masks leave something, points of the visual hull."""
    import plotly.graph_objects as go

    views = list(range(len(scene)))
    lines = np.concatenate([frustum_line(scene.cameras, v, tuple(scene.masks[v].shape), FRUSTUM) for v in views])
    centres = scene.cameras.centres.detach().cpu().numpy()
    azimuth = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(60)], axis=1)
    gap = np.full((1, 3), np.nan)
    rings = np.concatenate([circle, gap, circle[:, [2, 0, 1]], gap, circle[:, [1, 2, 0]]])
    traces = [
        go.Scatter3d(
            **_xyz(lines), mode="lines", line={"width": 2, "color": "#2563eb"}, hoverinfo="skip", name="cameras"
        ),
        go.Scatter3d(
            **_xyz(rings), mode="lines", line={"width": 1, "color": "#999"}, hoverinfo="skip", name="unit sphere"
        ),
        go.Scatter3d(
            **_xyz(centres), mode="markers+text", marker={"size": 2}, text=[str(view) for view in views], name="views"
        ),
    ]
    try:
        points = VisualHull.carve(scene.masks, scene.cameras, HULL_RESOLUTION).surface_points().numpy()
        traces.append(
            go.Scatter3d(**_xyz(points), mode="markers", marker={"size": 1.5, "color": "#dc2626"}, name="visual hull")
        )
    except SceneError:  # an empty hull, of which the report speaks
        pass
    eye, up = viewpoint(scene.cameras, views)
    hidden = {"visible": False}
    camera = {
        "eye": dict(zip("xyz", (1.2 * eye).tolist(), strict=True)),
        "up": dict(zip("xyz", up.tolist(), strict=True)),
    }
    figure = go.Figure(traces)
    figure.update_layout(
        scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data", "camera": camera},
        legend={"orientation": "h", "y": 0},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
    )
    return figure.to_html(full_html=False, include_plotlyjs=True, default_height="70vh")


def view_figure(scene: Scene, view: int, name: str) -> str:
    """A small photograph with its mask's outline and the unit sphere's, and a caption, as HTML.

    Raises:
        SceneError: the picture cannot be encoded.
    """
    image, mask = scene.images[view].numpy(), scene.masks[view].numpy().astype(np.uint8)
    scale = min(1.0, THUMBNAIL / max(mask.shape))
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    picture = np.ascontiguousarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    for outline, colour in ((_sphere_outline(scene, view), SPHERE), *((line, OUTLINE) for line in _outlines(mask))):
        if len(outline):
            pixels = np.round(((outline + 0.5) * scale - 0.5) * 16).astype(np.int32)
            cv2.polylines(picture, [pixels], True, colour, 1, cv2.LINE_AA, shift=4)
    done, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not done:
        raise SceneError(f"{name}: its thumbnail cannot be written")
    source = base64.b64encode(encoded).decode()
    caption = f"{html.escape(name)}, mask {mask.mean():.1%}"
    return f'<figure><img src="data:image/jpeg;base64,{source}" alt=""><figcaption>{caption}</figcaption></figure>'


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0].astype(np.float64) for contour in contours]


def _sphere_outline(scene: Scene, view: int) -> np.ndarray:
    """``[N, 2]`` pixels of the unit sphere's outline; empty from inside it, or where it is not wholly in front."""
    pose, intrinsics = scene.cameras.poses[view].double().numpy(), scene.cameras.intrinsics[view].double().numpy()
    centre = -pose[:3, :3].T @ pose[:3, 3]
    distance = float(np.linalg.norm(centre))
    if distance <= 1:
        return np.zeros((0, 2))
    axis = centre / distance
    across = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.9 else [0, 1.0, 0])
    across /= np.linalg.norm(across)
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)[:, None]
    radius = np.sqrt(1 - 1 / distance**2)  # of the circle in which the tangent cone touches the sphere
    circle = axis * (distance - 1 / distance) + radius * (
        np.cos(angle) * across + np.sin(angle) * np.cross(axis, across)
    )
    if (circle[:, 2] <= 1e-3).any():
        return np.zeros((0, 2))
    pixels = circle @ intrinsics.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    return np.clip(pixels, -1e5, 1e5)


def _xyz(points: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip("xyz", np.asarray(points, dtype=np.float32).T, strict=True))
