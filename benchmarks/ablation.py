"""Every ingredient off and on: scenes x settings x seeds, with mean and spread.

Each run is trained and evaluated by the `nsr` command in processes of their own.  A finished run is one line of JSON in
the results file; called again, the script goes on where it was stopped (runs that failed are tried again).  The table
holds the mean and standard deviation over seeds.

To choose settings, give --select: runs then train without, and are scored on, views split off the training ones, and
nothing looks at the held-out views.

    python benchmarks/ablation.py --scenes data/default photos/mug --seeds 0 1 2 --minutes 3 --ingredients
    python benchmarks/ablation.py --scenes data/default --select \\
        --setting "heavy masks" loss.mask_weight=400 --setting "light masks" loss.mask_weight=20
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

import nsr

BASELINE = "as the conf"

# What --ingredients leaves out, one at a time; each list holds conf keys and what they are without it.
INGREDIENTS = {
    "no start from the hull": ["train.init=sphere"],
    "no hull bounds": ["model.ray_tracer.hull_margin=0"],
    "no silhouette loss": ["loss.silhouette_weight=0"],
    "no vote in the hull": ["train.hull_tolerance=0"],
    "views not weighed": ["train.weigh_views=false"],
    "no mask tolerance": ["train.mask_tolerance=0"],
    "pixels from anywhere": ["train.pixels_anywhere=1"],
    "levels open at once": ["train.levels_open=0"],
    "no patches compared": ["photometric.weight=0"],
    "no appearance grid": ["model.rendering_network.position_encoding=null"],
}


@dataclass(frozen=True)
class Job:
    """One run: a scene folder, a named setting with its overrides, a seed, and what is common to all."""

    scene: str
    setting: str
    overrides: tuple[str, ...]
    seed: int
    conf: str
    length: tuple[str, str]  # --minutes or --steps, and how many
    resolution: int

    def key(self) -> str:
        """Equal for runs that are the same; the conf counts by what it says, not by its name."""
        text = Path(self.conf).read_text(encoding="utf-8")
        said = [os.path.abspath(self.scene), sorted(self.overrides), self.seed, text, self.length, self.resolution]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

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


def run_all(jobs: list[Job], results: Path, run: Callable[[Job], dict] = run_job) -> tuple[dict[str, dict], list[str]]:
    """Run what is not in the results yet, and append it there.

    Returns:
        key -> metrics of all finished runs, and the failures, a line each.
    """
    finished, failures = read_results(results), []
    if results.is_file() and not results.read_text(encoding="utf-8").endswith("\n"):
        with results.open("a", encoding="utf-8") as file:
            file.write("\n")  # so that a line cut short does not spoil the next
    for number, job in enumerate(jobs, 1):
        if job.key() in finished:
            continue
        print(f"[{number}/{len(jobs)}] {job.name()}", file=sys.stderr, flush=True)
        try:
            metrics = run(job)
        except subprocess.CalledProcessError as error:
            last = (error.stderr or "").strip().splitlines()[-1:] or ["no message"]
            failures.append(f"{job.name()}: {last[0]}")
            continue
        entry = {
            "key": job.key(), "scene": Path(job.scene).name, "setting": job.setting, "overrides": job.overrides,
            "seed": job.seed, "length": job.length, "version": nsr.__version__, "metrics": metrics,
        }  # fmt: skip
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        finished[entry["key"]] = metrics
    return finished, failures


# --- the table -----------------------------------------------------------------------------------------------------


def _of(section: str, name: str) -> Callable[[dict], float | None]:
    return lambda metrics: (metrics.get(section) or {}).get(name)


def _differs(name: str) -> Callable[[dict], float | None]:
    def difference(metrics: dict) -> float | None:
        topology = metrics["topology"]
        found, true = topology[name], topology[f"true_{name}"]
        return None if found is None or true is None else found - true

    return difference


COLUMNS: list[tuple[str, Callable[[dict], float | None], int]] = [
    ("Chamfer px", _of("geometry", "chamfer_pixels"), 3),
    ("{views} PSNR dB", _of("heldout", "psnr"), 2),
    ("{views} IoU", _of("heldout", "iou"), 4),
    ("components", _of("topology", "components"), 1),
    ("open edges", _of("topology", "boundary_edges"), 1),
    ("genus", _of("topology", "genus"), 1),
    ("genus - true", _differs("genus"), 1),
    ("train s", lambda metrics: metrics["train_seconds"], 0),
]


def table(jobs: list[Job], finished: dict[str, dict], views: str) -> Iterator[str]:
    """Markdown lines: a row for each scene and setting, and one for each setting over all scenes.

    Args:
        views: what the evaluating views are called.
    """
    header = ["scene", "setting", "seeds", *(title.format(views=views) for title, _, _ in COLUMNS)]
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    scenes, settings = _unique(job.scene for job in jobs), _unique(job.setting for job in jobs)
    for scene in scenes:
        for setting in settings:
            chosen = [job for job in jobs if (job.scene, job.setting) == (scene, setting)]
            yield _row(Path(scene).name, setting, [finished[job.key()] for job in chosen if job.key() in finished])
    if len(scenes) > 1:
        for setting in settings:
            # The spread is of the seeds: each is first averaged over the scenes, all of which it must have finished.
            means = []
            for seed in _unique(job.seed for job in jobs):
                chosen = [job for job in jobs if (job.setting, job.seed) == (setting, seed)]
                if all(job.key() in finished for job in chosen):
                    runs = [finished[job.key()] for job in chosen]
                    means.append([_mean([value(run) for run in runs]) for _, value, _ in COLUMNS])
            columns = list(zip(*means)) if means else [()] * len(COLUMNS)
            cells = [_spread(column, digits) for column, (_, _, digits) in zip(columns, COLUMNS)]
            yield "| " + " | ".join(["**all**", setting, str(len(means)), *cells]) + " |"


def _row(scene: str, setting: str, runs: list[dict]) -> str:
    cells = [_spread([value(run) for run in runs], digits) for _, value, digits in COLUMNS]
    return "| " + " | ".join([scene, setting, str(len(runs)), *cells]) + " |"


def _mean(values: list[float | None]) -> float | None:
    """None where any is unknown: scenes without ground truth have no say in a mean over all."""
    return None if any(value is None for value in values) else statistics.fmean(values)


def _spread(values, digits: int) -> str:
    """Mean and sample standard deviation; the latter from two values on."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or len(known) < len(values):
        return "-"
    mean = f"{statistics.fmean(known):.{digits}f}"
    return mean if len(known) < 2 else f"{mean} ± {statistics.stdev(known):.{digits}f}"


def _unique(values) -> list:
    return list(dict.fromkeys(values))


def head(arguments: argparse.Namespace) -> Iterator[str]:
    """What was run, and on what."""
    length = f"{arguments.steps} steps" if arguments.steps else f"{arguments.minutes:g} min"
    yield f"# Ablation, {datetime.date.today().isoformat()}"
    yield ""
    yield (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{'CUDA, ' if torch.cuda.is_available() else ''}nsr {nsr.__version__}, torch {torch.__version__}, Python "
        f"{platform.python_version()}; `{arguments.conf}`, {length}, seeds {', '.join(map(str, arguments.seeds))}; "
        f"mean ± standard deviation over seeds."
    )
    if arguments.select:
        yield ""
        yield "Scored on views split off the training ones; the held-out views were looked at by nothing."
    yield ""


def make_jobs(arguments: argparse.Namespace) -> list[Job]:
    settings = {BASELINE: []}
    settings |= INGREDIENTS if arguments.ingredients else {}
    settings |= {name: overrides for name, *overrides in arguments.setting}
    length = ("--steps", str(arguments.steps)) if arguments.steps else ("--minutes", str(arguments.minutes))
    common = [*arguments.set, *(["dataset.selection=true"] if arguments.select else [])]
    return [
        Job(scene, name, (*common, *overrides), seed, arguments.conf, length, arguments.resolution)
        for seed in arguments.seeds  # all settings once before any twice, so that a stopped ablation is of use
        for scene in arguments.scenes
        for name, overrides in settings.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--setting", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"))
    parser.add_argument("--ingredients", action="store_true", help="each known ingredient left out, one at a time")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="in all settings, the baseline too")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=3.0, help="of each training (default: 3)")
    length.add_argument("--steps", type=int, help="of each training, instead")
    parser.add_argument("--conf", default="confs/default.conf")
    parser.add_argument("--resolution", type=int, default=512, help="of the meshes (default: 512)")
    parser.add_argument("--select", action="store_true", help="score on views split off the training ones")
    parser.add_argument("--results", type=Path, default=Path("ablation.jsonl"), help="a line for each finished run")
    parser.add_argument("--table", type=Path, help="write the table here too")
    arguments = parser.parse_args()

    jobs = make_jobs(arguments)
    finished, failures = run_all(jobs, arguments.results)
    views = "selection" if arguments.select else "held-out"
    lines = [*head(arguments), *table(jobs, finished, views)]
    lines += ["", "Failed:", "", *(f"- {failure}" for failure in failures)] if failures else []
    print("\n".join(lines))
    if arguments.table:
        arguments.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
