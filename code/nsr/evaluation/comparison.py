"""Several runs beside each other: a table, what sets them apart, and what keeps their figures from comparing."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.evaluation.comparison_plots import curves_figure, views_figure
from nsr.evaluation.html_page import html_page, plot, section, table
from nsr.evaluation.run_summary import RunSummary, flat_conf
from nsr.evaluation.views import read_scores
from nsr.training.run_folder import EVALUATION_FOLDER

SPHERE_TOLERANCE = 1e-4  # of the radius, within which two unit spheres are one
# What differs between any two runs and says nothing of how they were made.
_PLACES = ("train.expname", "dataset.data_dir", "dataset.scan_id")


def run_names(runs: Sequence[RunSummary]) -> list[str]:
    """Each run's experiment; with its timestamp, or as the whole path, where that does not tell them apart."""
    for names in (
        [run.folder.parent.name for run in runs],
        [f"{run.folder.parent.name}/{run.folder.name}" for run in runs],
    ):
        if len(set(names)) == len(names):
            return names
    return [str(run.folder) for run in runs]


def comparison_table(runs: Sequence[RunSummary]) -> tuple[list[str], list[list[str]]]:
    """Names of the columns and a row of texts per run; ``-`` where a figure is not known.

    PSNR (dB), SSIM and IoU are means over held-out views where there are some, else over training views with ``(t)``
    behind; Chamfer in pixel footprints and in world units; normals in degrees; time in minutes; memory in MB.
    """
    names = ["run", "scene", "encoding", "steps", "minutes", "memory", "PSNR", "SSIM", "IoU", "Chamfer px",
             "Chamfer world", "normals"]  # fmt: skip
    return names, [[name, *_row(run)] for name, run in zip(run_names(runs), runs, strict=True)]


def format_comparison(runs: Sequence[RunSummary]) -> str:
    """The table and the remarks as text to print."""
    names, rows = comparison_table(runs)
    widths = [max(len(line[column]) for line in [names, *rows]) for column in range(len(names))]
    lines = [
        "  ".join(cell.ljust(width) if place < 3 else cell.rjust(width) for place, (cell, width) in
                  enumerate(zip(line, widths, strict=True)))
        for line in [names, *rows]
    ]  # fmt: skip
    return "\n".join(line.rstrip() for line in [*lines, *comparison_remarks(runs)])


def comparison_remarks(runs: Sequence[RunSummary]) -> list[str]:
    """One line each: what a run lacks, and why figures of these runs do not compare."""
    names = run_names(runs)
    lines = [f"{name}: {remark}" for name, run in zip(names, runs, strict=True) for remark in run.remarks]
    scenes = list(dict.fromkeys(run.scene for run in runs))
    if len(scenes) > 1:
        lines.append(f"the runs are of different scenes ({', '.join(scenes)}): their figures do not compare one to one")
    spheres = [run.sphere for run in runs if run.sphere is not None]
    if any(_apart(spheres[0], sphere) for sphere in spheres[1:]):
        radii = ", ".join(
            f"{name} {run.sphere[3]:.4g}" for name, run in zip(names, runs, strict=True) if run.sphere is not None
        )
        lines.append(
            "the unit spheres differ: losses in units of the sphere (eikonal, silhouette) do not compare; pixel "
            f"footprints and world units do (radius in world units: {radii})"
        )
    return lines


def differing_keys(runs: Sequence[RunSummary]) -> list[list[str]]:
    """Rows of the conf's keys in which the runs differ: the key, then each run's value; ``-`` where a run has none."""
    confs = [flat_conf(run.config) if run.config else {} for run in runs]
    keys = sorted({key for conf in confs for key in conf} - set(_PLACES))
    rows = [[key, *(conf.get(key, "-") for conf in confs)] for key in keys]
    return [row for row in rows if len({value for value, conf in zip(row[1:], confs, strict=True) if conf}) > 1]


def write_comparison(path: str | Path, runs: Sequence[RunSummary]) -> Path:
    """Write one HTML file with the table, the curves of the logs, the views' PSNR and what differs in the confs.

    It opens without a network, and appears whole or not at all.
    """
    names, rows = comparison_table(runs)
    remarks = "".join(f"<li>{html.escape(line)}</li>" for line in comparison_remarks(runs))
    body = section(
        "Figures",
        table(names, rows) + (f'<ul class="soft notes">{remarks}</ul>' if remarks else ""),
        "PSNR, SSIM and IoU over held-out views, or over training views (t) where none were held out; click a column's "
        "name to sort.",
    )
    labels = run_names(runs)
    curves = curves_figure(labels, [run.curves for run in runs])
    if curves is not None:
        body += section("Curves", plot(curves), "From the TensorBoard logs; long ones are averaged over neighbours.")
    scores = [_scores(run) for run in runs]
    if any(scores):
        remark = "Filled: held-out views; hollow: training views."
        body += section("PSNR of every view", plot(views_figure(labels, scores)), remark)
    different = differing_keys(runs)
    if different:
        body += section("What differs in the confs", table(["key", *labels], different))
    page = html_page("Runs compared", "Runs compared", ", ".join(labels), body)
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return Path(path)


def _row(run: RunSummary) -> list[str]:
    metrics = run.metrics or {}
    split = metrics.get("heldout") or metrics.get("train") or {}
    mark = "" if metrics.get("heldout") or not split else " (t)"
    geometry = metrics.get("geometry") or {}
    step = metrics.get("step", run.last_step)
    seconds = metrics.get("train_seconds")
    if seconds is None and run.curves:
        seconds = max(float(curve.seconds[-1]) for curve in run.curves.values())
    return [
        run.scene,
        run.config.model.implicit_network.encoding.name if run.config else "-",
        _figure(step, "{:,.0f}".format),
        _figure(None if seconds is None else seconds / 60, "{:.1f}".format),
        _figure(metrics.get("peak_memory_mb"), "{:.0f}".format),
        _figure(split.get("psnr"), "{:.2f}".format) + mark,
        _figure(split.get("ssim"), "{:.3f}".format),
        _figure(split.get("iou"), "{:.4f}".format),
        _figure(geometry.get("chamfer_pixels"), "{:.3f}".format),
        _figure(geometry.get("chamfer_world"), "{:.4g}".format),
        _figure(geometry.get("normal_degrees"), "{:.1f}".format),
    ]


def _scores(run: RunSummary) -> list:
    name = (run.metrics or {}).get("files", {}).get("views")
    path = run.folder / EVALUATION_FOLDER / name if name else None
    return read_scores(path) if path is not None and path.is_file() else []


def _apart(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.abs(first - second).max() > SPHERE_TOLERANCE * first[3])


def _figure(value: float | None, text: Callable[[float], str]) -> str:
    return "n/a" if value is None else text(value)
