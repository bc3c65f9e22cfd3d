"""One HTML file that shows what a run made, and opens without a network."""

from __future__ import annotations

import base64
import html
from pathlib import Path

import cv2
import numpy as np
import trimesh

from nsr.atomic import whole_file
from nsr.evaluation.report_page import page
from nsr.evaluation.report_plots import loss_figure, mesh_figure
from nsr.evaluation.views import ViewScore, read_scores
from nsr.meshing.simplify import cluster_vertices
from nsr.scenes.pictures import read_picture
from nsr.scenes.scene import Scene

MOST_FACES = 60_000
SHOWN_VIEWS = 3  # of each split
WIDEST = 560  # pixels of an inlined picture
LARGEST_ERROR = 0.3  # at the top of the error maps' scale, of 1
LOSS_LOG = "logs/losses.csv"
RUN_CONF = "runconf.conf"


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
    losses = loss_figure(run.folder / LOSS_LOG)
    conf = run.folder / RUN_CONF
    text = page(
        title=scene.name,
        subtitle=_subtitle(scene, metrics, mesh),
        cards=_cards(metrics),
        views=[_view(path.parent / files["renders"], scene, score) for score in _shown(scores)],
        table=[_row(score) for score in scores],
        mesh=mesh_figure(small, small_colours, scene, run.cameras).to_html(
            full_html=False, include_plotlyjs=True, config={"displaylogo": False, "scrollZoom": True}
        ),
        losses=losses.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
        if losses
        else None,
        conf=html.escape(conf.read_text()) if conf.is_file() else None,
        files=[(name, files[name]) for name in ("ply", "glb", "renders", "views") if name in files],
        largest_error=LARGEST_ERROR,
    )
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
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
    """A few held-out and training views, evenly spread over each."""
    shown = []
    for split in ("heldout", "train"):
        chosen = [score for score in scores if score.split == split]
        picks = np.unique(np.linspace(0, len(chosen) - 1, min(SHOWN_VIEWS, len(chosen))).round().astype(int))
        shown += [chosen[pick] for pick in picks]
    return shown


def _view(pictures: Path, scene: Scene, score: ViewScore) -> dict:
    photograph, mask = scene.images[score.view].numpy(), scene.masks[score.view].numpy()
    rendered = read_picture(pictures / f"eval_{score.view:03d}.png")
    masked = np.where(mask[..., None], photograph, np.uint8(255))
    return {
        "name": f"View {score.view}",
        "heldout": score.split == "heldout",
        "caption": f"PSNR {_text(score.psnr, 2)} dB · SSIM {_text(score.ssim, 3)} · IoU {_text(score.iou, 4)}",
        "photograph": inline_picture(masked),
        "rendered": inline_picture(rendered),
        "error": inline_picture(error_map(rendered, photograph, mask)),
        "normal": inline_picture(read_picture(pictures / f"normal_{score.view:03d}.png")),
        "size": mask.shape,
    }


def _row(score: ViewScore) -> list[str]:
    figures = [_text(score.psnr, 2), _text(score.ssim, 3), _text(score.iou, 4), _text(score.hull_iou, 4)]
    return [str(score.view), "held out" if score.split == "heldout" else "training", *figures]


def _cards(metrics: dict) -> list[tuple[str, str, str]]:
    """(name, value, remark) of each summary figure."""
    cards = []
    for split, name in (("heldout", "held-out views"), ("train", "training views")):
        if metrics[split]:
            figures = metrics[split]
            cards.append((f"PSNR, {name}", f"{_text(figures['psnr'], 2)} dB", f"SSIM {_text(figures['ssim'], 3)}"))
            cards.append(
                (f"Silhouette IoU, {name}", _text(figures["iou"], 4), f"visual hull {_text(figures['hull_iou'], 4)}")
            )
    geometry = metrics["geometry"]
    if geometry:
        cards.append(
            (
                "Chamfer distance, pixel footprints",
                f"{geometry['chamfer_pixels']:.2f}",
                f"{geometry['chamfer']:.5f} of the unit sphere",
            )
        )
        cards.append(
            ("Normals", f"{geometry['normal_degrees']:.1f}°", f"F-score {geometry['fscore']:.3f} at one pixel")
        )
    topology = metrics["topology"]
    genus, true_genus = topology["genus"], topology["true_genus"]
    remark = f"{'watertight' if topology['watertight'] else str(topology['holes']) + ' holes'}, genus {_count(genus)}"
    if true_genus is not None:
        remark += f" (true: {true_genus})"
    cards.append(("Components", str(topology["components"]), remark))
    cards.append(("Training", _duration(metrics["train_seconds"]), f"step {metrics['step']}"))
    cards.append(
        (
            "Peak memory",
            f"{_text(metrics['peak_memory_mb'], 0)} MB",
            f"evaluated in {_duration(metrics['eval_seconds'])}",
        )
    )
    return cards


def _subtitle(scene: Scene, metrics: dict, mesh: trimesh.Trimesh) -> str:
    height, width = scene.masks[0].shape
    return (
        f"{len(scene.train_views)} training and {len(scene.heldout_views)} held-out views, {width} × {height} pixels · "
        f"{len(mesh.faces):,} triangles · step {metrics['step']:,}"
    )


def _count(value: int | None) -> str:
    return "unknown" if value is None else str(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"
