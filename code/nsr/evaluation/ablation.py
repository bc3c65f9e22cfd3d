"""Runs that differ in named settings, over scenes and seeds: trained, evaluated, kept line by line, and tabled.

Each run is trained and evaluated by the ``nsr`` command in processes of their own.  A finished run is one line of JSON
in the results file; run again, an ablation goes on where it was stopped.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

import nsr
from nsr.config.reader import load_config


@dataclass(frozen=True)
class Job:
    """One run: a scene folder, a named setting with its overrides, a seed, and what is common to all.

    Attributes:
        length: ``--minutes`` or ``--steps``, and how many; resolution: of the mesh that is measured.
        rendering: render the held-out views and measure them too.
        inputs: what else the run depends on, as a text that changes with it (prior bundles' state).
    """

    scene: str
    setting: str
    overrides: tuple[str, ...]
    seed: int
    conf: str
    length: tuple[str, str]
    resolution: int
    inputs: str = ""
    rendering: bool = True

    def key(self) -> str:
        """Equal for runs that are the same; the conf counts by what it says, what it includes too, not by its name."""
        return self._key

    @functools.cached_property
    def _key(self) -> str:
        config = dataclasses.asdict(load_config(self.conf, list(self.overrides)))
        measured = [self.resolution, self.rendering]
        said = [os.path.abspath(self.scene), self.seed, config, self.length, measured, self.inputs]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def name(self) -> str:
        return f"{Path(self.scene).name}, {self.setting}, seed {self.seed}"


def run_job(job: Job) -> dict:
    """Train and evaluate; the run's ``metrics.json``.

    Raises:
        subprocess.CalledProcessError: one of the two failed.
    """
    command = [sys.executable, "-m", "nsr.cli.main"]
    with tempfile.TemporaryDirectory() as output:
        train = [*command, "train", job.scene, "--conf", job.conf, *job.length, "--seed", str(job.seed)]
        train += ["--exps_folder", output]
        for override in (*job.overrides, "train.plot_freq=0", "train.checkpoint_freq=0"):
            train += ["--set", override]
        subprocess.run(train, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        evaluate = [*command, "eval", output, "--resolution", str(job.resolution)]
        evaluate += ["--heldout_only" if job.rendering else "--no_rendering"]
        subprocess.run(evaluate, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        return json.loads(next(Path(output).glob("*/*/evaluation/metrics.json")).read_text())


def read_results(path: Path) -> dict[str, dict]:
    """Key -> metrics of the runs that are finished; a line that was cut short by a stop counts for nothing."""
    finished = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        finished[entry["key"]] = entry["metrics"]
    return finished


def run_all(
    jobs: list[Job], results: Path, run: Callable[[Job], dict] = run_job, workers: int = 1
) -> tuple[dict[str, dict], list[str]]:
    """Run what is not in the results yet, and append it there; runs that failed before are tried again.

    Args:
        workers: how many run at a time.  Runs bounded by steps come out the same; those bounded by the clock get
            fewer steps where they share processors.

    Returns:
        key -> metrics of all finished runs, and the failures, a line each.
    """
    finished, failures = read_results(results), []
    if results.is_file() and not results.read_text(encoding="utf-8").endswith("\n"):
        with results.open("a", encoding="utf-8") as file:
            file.write("\n")  # so that a line cut short does not spoil the next
    waiting = {job.key(): (number, job) for number, job in enumerate(jobs, 1) if job.key() not in finished}
    writing, stopped = threading.Lock(), threading.Event()

    def finish(number: int, job: Job) -> None:
        if stopped.is_set():
            return
        print(f"[{number}/{len(jobs)}] {job.name()}", file=sys.stderr, flush=True)
        try:
            metrics = run(job)
        except subprocess.CalledProcessError as error:
            last = (error.stderr or "").strip().splitlines()[-1:] or ["no message"]
            failures.append(f"{job.name()}: {last[0]}")
            return
        except BaseException:
            stopped.set()
            raise
        entry = {
            "key": job.key(), "scene": Path(job.scene).name, "setting": job.setting, "overrides": job.overrides,
            "seed": job.seed, "length": job.length, "version": nsr.__version__, "metrics": metrics,
        }  # fmt: skip
        with writing, results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        finished[job.key()] = metrics

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(finish, number, job) for number, job in waiting.values()]
        try:
            for each in running:
                each.result()
        except BaseException:
            stopped.set()
            raise
    return finished, failures


# --- the table -----------------------------------------------------------------------------------------------------

Figure = Callable[[dict], "float | None"]  # of a run's metrics; None where it is not known
Column = tuple[str, Figure, int]  # title, figure, digits


def figure_of(section: str, name: str) -> Figure:
    """The figure ``name`` of a section of a run's metrics."""
    return lambda metrics: (metrics.get(section) or {}).get(name)


def _differs(name: str) -> Figure:
    def difference(metrics: dict) -> float | None:
        topology = metrics["topology"]
        found, true = topology[name], topology[f"true_{name}"]
        return None if found is None or true is None else found - true

    return difference


COLUMNS: list[Column] = [
    ("Chamfer px", figure_of("geometry", "chamfer_pixels"), 3),
    ("{views} PSNR dB", figure_of("heldout", "psnr"), 2),
    ("{views} IoU", figure_of("heldout", "iou"), 4),
    ("components", figure_of("topology", "components"), 1),
    ("open edges", figure_of("topology", "boundary_edges"), 1),
    ("genus", figure_of("topology", "genus"), 1),
    ("genus - true", _differs("genus"), 1),
    ("train s", lambda metrics: metrics["train_seconds"], 0),
]


def table_rows(
    jobs: list[Job], finished: dict[str, dict], views: str, columns: Sequence[Column] = COLUMNS
) -> list[list[str]]:
    """Texts: the titles, then a row for each scene and setting, and one for each setting over all scenes; mean and
    standard deviation over seeds.

    Args:
        views: what the evaluating views are called.
    """
    rows = [["scene", "setting", "seeds", *(title.format(views=views) for title, _, _ in columns)]]
    scenes, settings = _unique(job.scene for job in jobs), _unique(job.setting for job in jobs)
    for scene in scenes:
        for setting in settings:
            chosen = [job for job in jobs if (job.scene, job.setting) == (scene, setting)]
            runs = [finished[job.key()] for job in chosen if job.key() in finished]
            cells = [_spread([value(run) for run in runs], digits) for _, value, digits in columns]
            rows.append([Path(scene).name, setting, str(len(runs)), *cells])
    if len(scenes) > 1:
        for setting in settings:
            # The spread is of the seeds: each is first averaged over the scenes, all of which it must have finished.
            means = []
            for seed in _unique(job.seed for job in jobs):
                chosen = [job for job in jobs if (job.setting, job.seed) == (setting, seed)]
                if all(job.key() in finished for job in chosen):
                    runs = [finished[job.key()] for job in chosen]
                    means.append([_mean([value(run) for run in runs]) for _, value, _ in columns])
            by_column = list(zip(*means)) if means else [()] * len(columns)
            cells = [_spread(values, digits) for values, (_, _, digits) in zip(by_column, columns)]
            rows.append(["**all**", setting, str(len(means)), *cells])
    return rows


def table(
    jobs: list[Job], finished: dict[str, dict], views: str, columns: Sequence[Column] = COLUMNS
) -> Iterator[str]:
    """``table_rows`` as lines of Markdown."""
    head, *rows = table_rows(jobs, finished, views, columns)
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def machine() -> str:
    """What an ablation ran on, as a phrase."""
    return (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{'CUDA, ' if torch.cuda.is_available() else ''}nsr {nsr.__version__}, torch {torch.__version__}, Python "
        f"{platform.python_version()}"
    )


def _mean(values: list[float | None]) -> float | None:
    """None where any is unknown: scenes without ground truth have no say in a mean over all."""
    return None if any(value is None for value in values) else statistics.fmean(values)


def _spread(values: Sequence[float | None], digits: int) -> str:
    """Mean and sample standard deviation; the latter from two values on."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or len(known) < len(values):
        return "-"
    mean = f"{statistics.fmean(known):.{digits}f}"
    return mean if len(known) < 2 else f"{mean} ± {statistics.stdev(known):.{digits}f}"


def _unique(values: Iterable) -> list:
    return list(dict.fromkeys(values))
