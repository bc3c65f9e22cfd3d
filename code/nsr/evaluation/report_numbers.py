"""The report's figures as texts."""

from __future__ import annotations

import csv
import platform
from pathlib import Path

import numpy as np
import torch

from nsr.evaluation.views import ViewScore

UNKNOWN = "n/a"


def cards(metrics: dict) -> list[tuple[str, str, str]]:
    """(name, value, remark) of each summary figure of ``metrics.json``."""
    found = []
    for split, name in (("heldout", "held-out views"), ("train", "training views")):
        if metrics[split]:
            figures = metrics[split]
            found.append((f"PSNR, {name}", f"{text(figures['psnr'], 2)} dB", f"SSIM {text(figures['ssim'], 3)}"))
            if figures["iou"] is not None:
                remark = f"visual hull {text(figures['hull_iou'], 4)}"
                found.append((f"Silhouette IoU, {name}", text(figures["iou"], 4), remark))
    geometry = metrics["geometry"]
    if geometry:
        found.append(
            (
                "Chamfer distance, pixel footprints",
                f"{geometry['chamfer_pixels']:.2f}",
                f"{geometry['chamfer']:.5f} of the unit sphere",
            )
        )
        found.append(
            ("Normals", f"{geometry['normal_degrees']:.1f}°", f"F-score {geometry['fscore']:.3f} at one pixel")
        )
    topology = metrics["topology"]
    genus, true_genus = topology["genus"], topology["true_genus"]
    holes = "watertight" if topology["watertight"] else f"{topology['holes']} holes"
    remark = f"{holes}, genus {'unknown' if genus is None else genus}"
    if true_genus is not None:
        remark += f" (true: {true_genus})"
    found.append(("Components", str(topology["components"]), remark))
    memory = metrics["peak_memory_mb"]
    remark = f"step {metrics['step']:,}" + ("" if memory is None else f", at most {memory:,.0f} MB")
    found.append(("Training", duration(metrics["train_seconds"]), remark))
    return found


def timings(run, metrics: dict, log: Path) -> list[tuple[str, str]]:
    """What was measured of time and memory: (name, value); what nobody recorded is left out.

    Args:
        run: its config and renderer; metrics: of ``metrics.json``; log: the CSV of losses, where there is one.
    """
    rows = []
    seconds, step = metrics["train_seconds"], metrics["step"]
    if seconds is not None:
        each = f", {1000 * seconds / step:.0f} ms a step, getting ready included" if step else ""
        rows.append(("Training", f"{duration(seconds)} to step {step:,}{each}"))
    rates = _column(log, "rays_per_second")
    if len(rates):
        low, middle, high = np.percentile(rates, (10, 50, 90))
        rows.append(("Rays a second", f"{middle:,.0f} (median; {low:,.0f} to {high:,.0f} for 8 entries of 10)"))
    if metrics["peak_memory_mb"] is not None:
        rows.append(("Peak memory of the training", f"{metrics['peak_memory_mb']:,.0f} MB"))
    rows.append(("Evaluation", duration(metrics["eval_seconds"])))
    parameters = sum(parameter.numel() for parameter in run.renderer.parameters())
    rows.append(("Model", f"{parameters:,} parameters"))
    rows.append(("Evaluated with", f"torch {torch.__version__} on {_device_name(run)}, {platform.system()}"))
    return rows


def view_row(score: ViewScore) -> list[str]:
    """Texts of one view: number, split, PSNR, SSIM, LPIPS, IoU, hull IoU."""
    figures = [text(score.psnr, 2), text(score.ssim, 3), text(score.lpips, 3), text(score.iou, 4)]
    split = "held out" if score.split == "heldout" else "training"
    return [str(score.view), split, *figures, text(score.hull_iou, 4)]


def duration(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def text(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _column(log: Path, name: str) -> np.ndarray:
    """The finite numbers of one column of a CSV; none where file or column are missing."""
    if not log.is_file():
        return np.zeros(0)
    with open(log, newline="") as file:
        found = [row[name] for row in csv.DictReader(file) if row.get(name)]
    values = np.array(found, dtype=np.float64)
    return values[np.isfinite(values)]


def _device_name(run) -> str:
    device = run.cameras.poses.device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
