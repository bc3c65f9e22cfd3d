"""Renders of a scene's views, measured against its photographs and kept as pictures."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nsr.atomic import whole_file
from nsr.evaluation.image_metrics import masked_psnr, masked_ssim, silhouette_iou
from nsr.evaluation.perceptual import find_lpips
from nsr.meshing.visibility import surface_viewer
from nsr.meshing.extraction import extract_mesh
from nsr.rendering.image import EDGE_RAYS, render_view
from nsr.rendering.pictures import normal_picture
from nsr.scenes.pictures import as_uint8, write_picture
from nsr.scenes.scene import Scene
from nsr.scenes.silhouettes import Silhouettes
from nsr.scenes.trust import assess_views
from nsr.scenes.visual_hull import VisualHull

HULL_RESOLUTION = 160
SPLITS = ("train", "heldout")


@dataclass
class ViewScore:
    """One view's figures: psnr in dB and ssim over the mask alone, iou of silhouettes, hull_iou the visual hull's (both
    NaN in scenes without masks), lpips over the object's window (NaN where it is not installed)."""

    view: int
    split: str  # train | heldout
    psnr: float
    ssim: float
    iou: float
    hull_iou: float
    lpips: float = math.nan


def score_views(
    run,
    scene: Scene,
    picture_folder: Path,
    *,
    splits: Sequence[str] = SPLITS,
    progress: bool = True,
) -> list[ViewScore]:
    """Render and measure every view of the splits at its photograph's size.

    Writes ``eval_NNN.png`` (the render) and ``normal_NNN.png`` (its normals in the camera's frame) per view.

    Args:
        run: a loaded run; its cameras are used, refined where they were trained.
        picture_folder: is made where it is missing.
        splits: which of train and heldout.
        progress: show a bar.
    """
    silhouettes = HullSilhouettes(scene) if scene.masked else None
    lpips = find_lpips()
    scores = []
    for split, view in tqdm(split_views(scene, splits), desc="views", unit="view", disable=not progress):
        mask = scene.masks[view].numpy()
        photograph = scene.images[view].numpy() / np.float32(255)
        rendered = render_view(run.renderer, run.cameras, view, *mask.shape, edge_rays=EDGE_RAYS)
        rgb, hit = rendered.rgb.cpu().numpy(), rendered.hit.cpu().numpy()
        rotation = run.cameras.poses[view, :3, :3].detach().cpu().numpy()
        save_picture(picture_folder / f"eval_{view:03d}.png", as_uint8(rgb))
        save_picture(
            picture_folder / f"normal_{view:03d}.png", normal_picture(rendered.normal.cpu().numpy(), hit, rotation)
        )
        scores.append(
            ViewScore(
                view=view,
                split=split,
                psnr=masked_psnr(rgb, photograph, mask),
                ssim=masked_ssim(rgb, photograph, mask),
                iou=silhouette_iou(hit, mask) if silhouettes else math.nan,
                hull_iou=silhouette_iou(silhouettes.of(view), mask) if silhouettes else math.nan,
                lpips=lpips(rgb, photograph, mask) if lpips else math.nan,
            )
        )
    return scores


def split_views(scene: Scene, splits: Sequence[str]) -> list[tuple[str, int]]:
    """The views of the splits, each with the name of its split."""
    views_of = {"train": scene.train_views, "heldout": scene.heldout_views}
    return [(split, view) for split in SPLITS if split in splits for view in views_of[split]]


class HullSilhouettes:
    """What the visual hull of a scene's training views looks like from any of its cameras.

    Masks that the others contradict do not carve it.
    """

    def __init__(self, scene: Scene, resolution: int = HULL_RESOLUTION):
        self.cameras = scene.cameras
        self.sizes = [tuple(mask.shape) for mask in scene.masks]
        masks, cameras = [scene.masks[view] for view in scene.train_views], scene.cameras.select(scene.train_views)
        silhouettes = Silhouettes(masks, cameras)
        slacks = assess_views(scene, masks, cameras, silhouettes).slacks
        hull = VisualHull.carve(masks, cameras, resolution, slacks=slacks, silhouettes=silhouettes)
        self.viewer = surface_viewer(extract_mesh(hull.value, resolution, largest_only=False))

    def of(self, view: int) -> np.ndarray:
        """``[H, W]`` bool silhouette at the size of that view's mask."""
        return self.viewer.silhouette(self.cameras, view, self.sizes[view])


def summarise(scores: list[ViewScore], split: str) -> dict | None:
    """Means over one split's views (and the spread of psnr, as IDR prints it); None where it has no views."""
    chosen = [score for score in scores if score.split == split]
    if not chosen:
        return None
    summary = {}
    for name in ("psnr", "ssim", "iou", "hull_iou", "lpips"):
        values = np.array([getattr(score, name) for score in chosen])
        summary[name] = float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else float("nan")
    with np.errstate(invalid="ignore"):  # a perfect view has an infinite psnr
        summary["psnr_std"] = float(np.nanstd([score.psnr for score in chosen]))
    return summary | {"views": len(chosen)}


def write_scores(path: Path, scores: list[ViewScore]) -> None:
    """One CSV line per view."""
    with whole_file(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, [column.name for column in fields(ViewScore)])
        writer.writeheader()
        for score in scores:
            writer.writerow({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in asdict(score).items()})


def read_scores(path: Path) -> list[ViewScore]:
    """The lines that ``write_scores`` wrote."""
    with open(path, newline="") as file:
        return [
            ViewScore(
                int(row["view"]),
                row["split"],
                *(float(row.get(name, "nan")) for name in ("psnr", "ssim", "iou", "hull_iou", "lpips")),
            )
            for row in csv.DictReader(file)
        ]


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write a uint8 picture; the file appears whole or not at all."""
    with whole_file(path) as partial:
        write_picture(partial, picture)
