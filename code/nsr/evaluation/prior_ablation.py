"""What priors buy: one scene and seed set trained with none, each and all of them, and the difference."""

from __future__ import annotations

import csv
import datetime
import hashlib
import html
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nsr.atomic import whole_file
from nsr.errors import NsrError, PriorError
from nsr.evaluation.ablation import Column, Job, figure_of, machine, run_all, run_job, table, table_rows
from nsr.evaluation.comparison_plots import COLOURS
from nsr.evaluation.html_page import html_page, plot, section
from nsr.evaluation.html_page import table as html_table
from nsr.evaluation.report_plots import flat_layout

NONE = "none"
RESULTS_FILE, CSV_FILE, MARKDOWN_FILE, PAGE_FILE = "results.jsonl", "table.csv", "table.md", "report.html"
_AGAINST_NONE = "against_none"

COLUMNS: list[Column] = [
    ("Chamfer px", figure_of("geometry", "chamfer_pixels"), 3),
    ("Chamfer change %", figure_of(_AGAINST_NONE, "chamfer"), 1),
    ("normals deg", figure_of("geometry", "normal_degrees"), 2),
    ("normals change %", figure_of(_AGAINST_NONE, "normals"), 1),
    ("{views} PSNR dB", figure_of("heldout", "psnr"), 2),
    ("{views} IoU", figure_of("heldout", "iou"), 4),
    ("train s", lambda metrics: metrics["train_seconds"], 0),
    ("steps", lambda metrics: metrics["step"], 0),
]


@dataclass(frozen=True)
class PriorAblation:
    """What is trained.

    Attributes:
        scenes: their folders.
        bundles: folders of prior bundles, relative to each scene or absolute.
        base: the conf without priors; priors: name -> the conf with them.
        seeds; views: training views, 0: all; length, resolution, rendering: as of ``Job``.
        overrides: conf keys of every run.
    """

    scenes: Sequence[str]
    bundles: Sequence[str]
    base: str
    priors: dict[str, str]
    seeds: Sequence[int]
    length: tuple[str, str]
    views: int = 0
    resolution: int = 512
    overrides: Sequence[str] = ()
    rendering: bool = True

    def jobs(self) -> list[Job]:
        """Every run: a seed of all settings before the next, so that a stopped ablation is of use.

        Raises:
            PriorError: a folder of bundles is not there, or holds none.
        """
        common = [*self.overrides, *([f"dataset.train_views={self.views}"] if self.views else [])]
        told = _distinct(self.bundles)
        jobs = []
        for seed in self.seeds:
            for scene in self.scenes:
                jobs.append(self._job(scene, NONE, common, seed, self.base))
                for folder, called in zip(self.bundles, told, strict=True):
                    state = bundles_state(Path(scene) / folder)
                    for name, conf in self.priors.items():
                        setting = name if len(self.bundles) == 1 else f"{name}, {called}"
                        keys = (*common, f"priors.folder={folder}")
                        jobs.append(self._job(scene, setting, keys, seed, conf, state))
        return jobs

    def _job(self, scene: str, setting: str, keys: Sequence[str], seed: int, conf: str, inputs: str = "") -> Job:
        return Job(scene, setting, tuple(keys), seed, conf, self.length, self.resolution, inputs, self.rendering)


def _distinct(folders: Sequence[str]) -> list[str]:
    """Names to tell folders apart by: their own, with as much of what they lie in as that takes."""
    parts = [Path(folder).parts for folder in folders]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def bundles_state(folder: Path) -> str:
    """A text that changes when a folder of bundles does: names, sizes and times of its files.

    Raises:
        PriorError: there is no such folder, or no bundle in it.
    """
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise PriorError(
            f"{folder}: there are no prior bundles (<view>.npz) in it; folders count from the scene's, or are absolute"
        )
    facts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def run_prior_ablation(
    ablation: PriorAblation, output: Path, run: Callable[[Job], dict] = run_job
) -> tuple[list[str], list[str]]:
    """Train what is not trained yet, and write ``results.jsonl``, ``table.csv`` (a line a run), ``table.md`` and
    ``report.html`` into ``output``.

    Returns:
        the table as lines of Markdown, and the failures, a line each.

    Raises:
        NsrError: the bundles are not there, or the disk refuses.
    """
    jobs = ablation.jobs()
    try:
        output.mkdir(parents=True, exist_ok=True)
        finished, failures = run_all(jobs, output / RESULTS_FILE, run)
        finished = against_none(jobs, finished)
        lines = [*_head(ablation), "", *table(jobs, finished, "held-out", COLUMNS)]
        lines += ["", "Failed:", "", *(f"- {failure}" for failure in failures)] if failures else []
        with whole_file(output / MARKDOWN_FILE) as partial:
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        _write_csv(output / CSV_FILE, jobs, finished)
        with whole_file(output / PAGE_FILE) as partial:
            partial.write_text(_page(ablation, jobs, finished, failures), encoding="utf-8")
    except OSError as error:
        raise NsrError(f"{output}: the ablation cannot be written ({error.strerror or error})") from error
    return lines, failures


def against_none(jobs: Sequence[Job], finished: dict[str, dict]) -> dict[str, dict]:
    """The runs' metrics with a section ``against_none``: change in per cent of the run without priors on the same scene
    and seed (negative: better), where both are known."""
    base = {(job.scene, job.seed): finished.get(job.key()) for job in jobs if job.setting == NONE}
    compared = dict(finished)
    for job in jobs:
        metrics, without = finished.get(job.key()), base.get((job.scene, job.seed))
        if metrics is None:
            continue
        changes = {}
        for name, key in (("chamfer", "chamfer_pixels"), ("normals", "normal_degrees")):
            value, reference = (figure_of("geometry", key)(run or {}) for run in (metrics, without))
            changes[name] = None if value is None or not reference else 100 * (value / reference - 1)
        compared[job.key()] = {**metrics, _AGAINST_NONE: changes}
    return compared


def _head(ablation: PriorAblation) -> list[str]:
    views = f"{ablation.views} training views" if ablation.views else "all training views"
    length = " ".join(ablation.length).removeprefix("--")
    seeds = ", ".join(map(str, ablation.seeds))
    return [
        f"# Priors off and on, {datetime.date.today().isoformat()}",
        "",
        f"{machine()}; `{Path(ablation.base).name}`, {views}, {length}, seeds {seeds}, bundles "
        f"{', '.join(ablation.bundles)}; mean ± standard deviation over seeds; changes against none on the same scene "
        "and seed.",
    ]


def _write_csv(path: Path, jobs: Sequence[Job], finished: dict[str, dict]) -> None:
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        titles = [title.format(views="held-out") for title, _, _ in COLUMNS]
        writer.writerow(["scene", "setting", "seed", *titles])
        for job in jobs:
            metrics = finished.get(job.key())
            if metrics is not None:
                cells = ["" if (value := figure(metrics)) is None else f"{value:.6g}" for _, figure, _ in COLUMNS]
                writer.writerow([Path(job.scene).name, job.setting, job.seed, *cells])


def _page(ablation: PriorAblation, jobs: list[Job], finished: dict[str, dict], failures: list[str]) -> str:
    names, *rows = table_rows(jobs, finished, "held-out", COLUMNS)
    _, _, remark = _head(ablation)
    body = section("Figures", html_table(names, rows), html.escape(remark.replace("`", "")))
    for title, figure in (("Chamfer, pixel footprints", COLUMNS[0][1]), ("Normals, degrees", COLUMNS[2][1])):
        drawn = _bars(jobs, finished, figure, title)
        body += section(title, plot(drawn), "Bars are means over seeds, dots the seeds.") if drawn is not None else ""
    if failures:
        body += section("Failed", f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in failures)}</ul>")
    scenes = ", ".join(dict.fromkeys(Path(scene).name for scene in ablation.scenes))
    return html_page("Priors off and on", "Priors off and on", scenes, body)


def _bars(jobs: Sequence[Job], finished: dict[str, dict], figure: Callable[[dict], float | None], title: str):
    """A group of bars a scene, one a setting, with a dot a seed; None where nothing is known."""
    import plotly.graph_objects as go

    known = [
        (Path(job.scene).name, job.setting, value)
        for job in jobs
        if job.key() in finished and (value := figure(finished[job.key()])) is not None
    ]
    if not known:
        return None
    drawing = go.Figure()
    for index, setting in enumerate(dict.fromkeys(setting for _, setting, _ in known)):
        of_setting = [(scene, value) for scene, name, value in known if name == setting]
        scenes = list(dict.fromkeys(scene for scene, _ in of_setting))
        means = [statistics.fmean(value for name, value in of_setting if name == scene) for scene in scenes]
        colour = COLOURS[index % len(COLOURS)]
        drawing.add_bar(x=scenes, y=means, name=setting, marker_color=colour, opacity=0.75, offsetgroup=setting)
        drawing.add_scatter(
            x=[scene for scene, _ in of_setting], y=[value for _, value in of_setting], offsetgroup=setting,
            mode="markers", marker={"color": "#fff", "size": 7, "line": {"width": 1.5, "color": "#1c1e21"}},
            showlegend=False,
        )  # fmt: skip
    flat_layout(drawing, 340)
    drawing.update_layout(barmode="group", scattermode="group", yaxis_title=title)
    return drawing
