"""Still pictures of a result, for pages that cannot turn a mesh."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from nsr.evaluation.views import save_picture
from nsr.rendering.image import EDGE_RAYS, RenderedView, render_view
from nsr.rendering.pictures import normal_picture
from nsr.scenes.pictures import as_uint8
from nsr.scenes.scene import Scene

GAP = 8
CAPTION_HEIGHT = 30
CAPTIONS = ("photograph", "render", "surface", "normals")


def result_figure(path: str | Path, run, scene: Scene, views: list[int], *, height: int = 320) -> Path:
    """One picture with a row per view: photograph, render, shaded surface, normals.

    Args:
        path: of the picture (PNG); it appears whole or not at all.
        run: a loaded run; scene: its scene.
        views: the rows.
        height: of each row, pixels.
    """
    rows = []
    for view in views:
        photograph, mask = scene.images[view].numpy(), scene.masks[view].numpy()
        rendered = render_view(run.renderer, run.cameras, view, *mask.shape, edge_rays=EDGE_RAYS)
        rotation = run.cameras.poses[view, :3, :3].detach().cpu().numpy()
        normal, hit = rendered.normal.cpu().numpy(), rendered.hit.cpu().numpy()
        panels = (
            np.where(mask[..., None], photograph, np.uint8(255)),
            as_uint8(rendered.rgb.cpu().numpy()),
            shaded_surface(rendered, rotation),
            normal_picture(normal, hit, rotation),
        )
        width = round(height * mask.shape[1] / mask.shape[0])
        rows.append([cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA) for panel in panels])
    captions = [_caption(name, panel.shape[1]) for name, panel in zip(CAPTIONS, rows[0], strict=True)]
    save_picture(Path(path), _stack([captions, *rows]))
    return Path(path)


def shaded_surface(rendered: RenderedView, rotation: np.ndarray) -> np.ndarray:
    """The surface in plain grey, lit from over the camera's left shoulder: ``[H, W, 3]`` uint8 on white.

    Args:
        rotation: ``[3, 3]`` camera-to-world of the view.
    """
    in_camera = rendered.normal.cpu().numpy() @ rotation
    light = np.array([-0.45, -0.6, -0.66])  # OpenCV axes: left, up, towards the camera
    shade = 0.22 + 0.7 * (in_camera @ (light / np.linalg.norm(light))).clip(0, 1)
    grey = np.repeat(shade[..., None], 3, axis=-1)
    return as_uint8(np.where(rendered.hit.cpu().numpy()[..., None], grey, 1.0))


def _caption(text: str, width: int) -> np.ndarray:
    strip = np.full((CAPTION_HEIGHT, width, 3), 255, dtype=np.uint8)
    (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    place = ((width - length) // 2, 20)
    return cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.55, (70, 74, 80), 1, cv2.LINE_AA)


def _stack(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Panels with white gaps; rows of different widths are filled up with white."""
    joined = []
    for row in rows:
        gaps = [np.full((row[0].shape[0], GAP, 3), 255, dtype=np.uint8)] * len(row)
        joined.append(np.concatenate([part for pair in zip(row, gaps, strict=True) for part in pair][:-1], axis=1))
    widest = max(strip.shape[1] for strip in joined)
    filled = [np.pad(s, ((0, GAP), (0, widest - s.shape[1]), (0, 0)), constant_values=255) for s in joined]
    return np.concatenate(filled)
