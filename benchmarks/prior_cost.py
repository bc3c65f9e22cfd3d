"""What priors cost a training step: each conf of ``confs/priors`` against the same conf with all its priors off.

The bundles are a synthetic scene's exact ones, of every pixel, for all its training views.  The trainers take turns,
and each time is the processor's, of all threads.  Prints a table in Markdown; with --output appends it to a file.

    python benchmarks/prior_cost.py --scene data/default [--steps 30] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from timing import describe

from nsr.config.reader import load_config
from nsr.config.schema import PriorsConfig
from nsr.priors.exact import write_exact_bundles
from nsr.scenes.idr_folder import load_scene
from nsr.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
CONFS = ("depth", "normal", "shading", "all")
TURN = 5  # steps that a trainer makes before the next one's turn


def make_trainer(conf: str, scene: Path, bundles: Path | None, hull_resolution: int) -> Trainer:
    """A trainer half way into a run, where every level is open; without ``bundles``, with its priors off."""
    config = load_config(ROOT / "confs" / "priors" / f"{conf}.conf")
    config.priors = PriorsConfig() if bundles is None else config.priors
    config.priors.folder = str(bundles)
    config.train.steps, config.train.hull_resolution = 100_000, hull_resolution
    trainer = Trainer(config, load_scene(scene), CPU)
    trainer.clock.step = 50_000
    return trainer


def times_of_steps(trainers: dict[str, Trainer], steps: int) -> dict[str, list[float]]:
    """Milliseconds of processor time of each step, by trainer."""
    found: dict[str, list[float]] = {name: [] for name in trainers}
    for start in range(-TURN, steps, TURN):  # the first turn warms up
        for name, trainer in trainers.items():
            for _ in range(TURN):
                before = time.process_time()
                trainer.step()
                if start >= 0:
                    found[name].append(1e3 * (time.process_time() - before))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", type=Path, required=True, help="folder of a synthetic scene")
    parser.add_argument("--confs", nargs="+", default=list(CONFS), choices=CONFS)
    parser.add_argument("--steps", default=30, type=int)
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--hull-resolution", default=128, type=int, help="of the start; smaller is ready sooner")
    parser.add_argument("--output", type=Path, help="a file to append the table to")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(arguments.threads)
    lines = ["| conf | off, ms (least / median) | on, ms (least / median) | on / off (medians) |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        bundles = write_exact_bundles(arguments.scene, Path(folder) / "bundles")
        for conf in arguments.confs:
            trainers = {
                name: make_trainer(conf, arguments.scene, where, arguments.hull_resolution)
                for name, where in (("off", None), ("on", bundles))
            }
            found = times_of_steps(trainers, arguments.steps)
            off, on = (f"{min(found[name]):.1f} / {statistics.median(found[name]):.1f}" for name in ("off", "on"))
            ratio = statistics.median(found["on"]) / statistics.median(found["off"])
            lines.append(f"| {conf} | {off} | {on} | {ratio:.2f} |")
    text = "\n".join(lines)
    print(f"{describe(CPU)}\n\n{text}")
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(f"\n## Priors in a step\n\n{describe(CPU)}\n\n{text}\n")


if __name__ == "__main__":
    main()
