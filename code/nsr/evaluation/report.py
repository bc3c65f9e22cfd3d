"""One HTML file that shows what a run made, and opens without a network."""

from __future__ import annotations

import base64
from pathlib import Path

import cv2
import numpy as np
import trimesh

from nsr.atomic import whole_file
from nsr.evaluation.html_page import plot
from nsr.evaluation.report_numbers import cards, text, timings, view_row
from nsr.evaluation.report_page import page
from nsr.evaluation.report_plots import loss_figure, mesh_figure, psnr_figure
from nsr.evaluation.report_scene import scene_section
from nsr.evaluation.views import ViewScore, read_scores
from nsr.meshing.simplify import cluster_vertices
from nsr.scenes.pictures import read_picture
from nsr.scenes.scene import Scene
from nsr.training.logs import CSV_FILE
from nsr.training.run_folder import LOG_FOLDER, RUN_CONF

MOST_FACES = 150_000
SHOWN_VIEWS = 3  # of each split
WIDEST = 560  # pixels of an inlined picture
LARGEST_ERROR = 0.3  # at the top of the error maps' scale, of 1


def write_report(
    path: str | Path, run, scene: Scene, metrics: dict, mesh: trimesh.Trimesh, colours: np.ndarray
) -> Path:
    """Write the report; the file appears whole or not at all.

    Args:
        path: of the HTML file; the renders are read from the folders beside it that ``metrics["files"]`` names.
        run: its cameras, and from its folder the resolved conf and the log of losses, where they are.
        metrics: as ``metrics.json`` holds them.
        mesh: in the normalised frame; colours: ``[V, 3]`` uint8 of its vertices.
    """
    path = Path(path)
    files = metrics["files"]
    scores = read_scores(path.parent / files["views"]) if "views" in files else []
    small, small_colours = cluster_vertices(mesh, colours, MOST_FACES)
    log, conf = run.folder / LOG_FOLDER / CSV_FILE, run.folder / RUN_CONF
    losses = loss_figure(log)
    written = page(
        title=scene.name,
        subtitle=_subtitle(scene, metrics, mesh),
        cards=cards(metrics),
        mesh=plot(mesh_figure(small, small_colours, scene, run.cameras), scroll_zoom=True),
        views=[_view(path.parent / files["renders"], scene, score) for score in _shown(scores)],
        psnr=plot(psnr_figure(scores)) if scores else None,
        view_rows=[view_row(score) for score in scores],
        losses=plot(losses) if losses else None,
        timings=timings(run, metrics, log),
        scene=scene_section(scene),
        conf=conf.read_text() if conf.is_file() else None,
        files=[(name, files[name]) for name in ("ply", "glb", "renders", "views") if name in files],
        largest_error=LARGEST_ERROR,
    )
    with whole_file(path) as partial:
        partial.write_text(written, encoding="utf-8")
    return path


def error_map(rendered: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean absolute error over channels as a colour map ``[H, W, 3]`` uint8, dark (0) to bright; white off the mask.

    Args:
        rendered, photograph: ``[H, W, 3]`` uint8; mask: ``[H, W]`` bool.
    """
    error = np.abs(rendered.astype(np.float32) - photograph).mean(axis=-1) / 255
    scaled = (error / LARGEST_ERROR * 255).clip(0, 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return np.where(mask[..., None], coloured, np.uint8(255))


def inline_picture(picture: np.ndarray) -> str:
    """A ``[H, W, 3]`` uint8 picture as a data URL (JPEG), made smaller where it is wider than a page needs."""
    height, width = picture.shape[:2]
    if width > WIDEST:
        picture = cv2.resize(picture, (WIDEST, round(height * WIDEST / width)), interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _shown(scores: list[ViewScore]) -> list[ViewScore]:
    """A few held-out and training views, evenly spread over each, and the worst of each."""
    shown = []
    for split in ("heldout", "train"):
        chosen = [score for score in scores if score.split == split]
        picks = set(np.linspace(0, len(chosen) - 1, min(SHOWN_VIEWS, len(chosen))).round().astype(int).tolist())
        known = [place for place, score in enumerate(chosen) if np.isfinite(score.psnr)]
        if known:
            picks.add(min(known, key=lambda place: chosen[place].psnr))
        shown += [chosen[pick] for pick in sorted(picks)]
    return shown


def _view(pictures: Path, scene: Scene, score: ViewScore) -> dict:
    photograph, mask = scene.images[score.view].numpy(), scene.masks[score.view].numpy()
    rendered = read_picture(pictures / f"eval_{score.view:03d}.png")
    masked = np.where(mask[..., None], photograph, np.uint8(255))
    return {
        "name": f"View {score.view}",
        "heldout": score.split == "heldout",
        "caption": f"PSNR {text(score.psnr, 2)} dB · SSIM {text(score.ssim, 3)}"
        + (f" · IoU {text(score.iou, 4)}" if np.isfinite(score.iou) else ""),
        "photograph": inline_picture(masked),
        "rendered": inline_picture(rendered),
        "error": inline_picture(error_map(rendered, photograph, mask)),
        "normal": inline_picture(read_picture(pictures / f"normal_{score.view:03d}.png")),
        "size": mask.shape,
    }


def _subtitle(scene: Scene, metrics: dict, mesh: trimesh.Trimesh) -> str:
    height, width = scene.masks[0].shape
    return (
        f"{len(scene.train_views)} training and {len(scene.heldout_views)} held-out views, {width} × {height} pixels · "
        f"{len(mesh.faces):,} triangles · step {metrics['step']:,}"
    )
