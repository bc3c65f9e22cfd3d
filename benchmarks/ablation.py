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
import sys
from collections.abc import Iterator
from pathlib import Path

from nsr.evaluation.ablation import Job, machine, run_all, table

BASELINE = "as the conf"

# What --ingredients leaves out, one at a time; each list holds conf keys and what they are without it.
INGREDIENTS = {
    "no start from the hull": ["train.init=sphere"],
    "no hull bounds": ["model.ray_tracer.hull_margin=0"],
    "no silhouette loss": ["loss.silhouette_weight=0"],
    "no vote in the hull": ["train.hull_tolerance=0"],
    "views not weighed": ["train.weigh_views=false"],
    "no mask tolerance": ["train.mask_tolerance=0"],
    "mixed pixels in full": ["train.mixed_width=0"],
    "pixels from anywhere": ["train.pixels_anywhere=1"],
    "levels open at once": ["train.levels_open=0"],
    "no patches compared": ["photometric.weight=0"],
    "no appearance grid": ["model.rendering_network.position_encoding=null"],
    "no reflected direction": ["model.rendering_network.mode=idr"],
    "no colour margin": ["model.rendering_network.colour_margin=0", "model.background.colour_margin=0"],
    "no carving (without masks)": ["volume.carving=0"],
}


def head(arguments: argparse.Namespace) -> Iterator[str]:
    """What was run, and on what."""
    length = f"{arguments.steps} steps" if arguments.steps else f"{arguments.minutes:g} min"
    yield f"# Ablation, {datetime.date.today().isoformat()}"
    yield ""
    yield (
        f"{machine()}; `{arguments.conf}`, {length}, seeds {', '.join(map(str, arguments.seeds))}; "
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
    parser.add_argument("--workers", type=int, default=1, help="runs at a time; with OMP_NUM_THREADS=1 one a processor")
    parser.add_argument("--table", type=Path, help="write the table here too")
    arguments = parser.parse_args()

    if arguments.workers < 1:
        parser.error(f"--workers is {arguments.workers}; at least one run has to be under way")
    jobs = make_jobs(arguments)
    finished, failures = run_all(jobs, arguments.results, workers=arguments.workers)
    views = "selection" if arguments.select else "held-out"
    lines = [*head(arguments), *table(jobs, finished, views)]
    lines += ["", "Failed:", "", *(f"- {failure}" for failure in failures)] if failures else []
    print("\n".join(lines))
    if arguments.table:
        arguments.table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
