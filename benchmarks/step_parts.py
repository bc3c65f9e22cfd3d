"""Where the time of a surface-rendering step goes, what IDR's own network and tracer cost, and one field alone.

1. ``confs/default.conf``, part by part, compiled and in plain PyTorch: least and median over the steps.
2. Rays a second of a whole step, of that conf and of ``confs/idr.conf`` on the same scene, and their ratio.
3. SDF, gradient and backward of an eikonal loss at 8,192 points (grid of 16 levels x 2, T=2^15, MLP 2x64).

Bodies take turns within one run.  Prints tables in Markdown; with --output writes them too.

    python benchmarks/step_parts.py [--scene FOLDER] [--steps 100] [--idr-steps 2] [--threads 2]
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import torch
from timing import Stopwatch, describe, least_times

from nsr.config.reader import load_config
from nsr.config.schema import ImplicitNetworkConfig
from nsr.fields.hash_grid import MultiResolutionHashGrid
from nsr.fields.sdf import SDFField
from nsr.ops import backend
from nsr.scenes.idr_folder import load_scene
from nsr.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
PARTS = ("draw", "trace", "forward", "backward", "optimiser", "step", "step without trace")
TURN = 10  # steps that a body makes before the other's turn
COMPOSITE_POINTS = 8192


def make_trainer(conf: str, scene: Path) -> Trainer:
    """A trainer some way into a run of the surface renderer, past its first steps."""
    config = load_config(ROOT / "confs" / conf)
    config.train.renderer, config.train.steps = "surface", 100_000
    trainer = Trainer(config, load_scene(scene), CPU)
    trainer.clock.step = 60_000  # every level is open
    return trainer


def watched(trainer: Trainer) -> Stopwatch:
    watch = Stopwatch()
    watch.watch(trainer.sampler, "draw", "draw")
    watch.watch(trainer, "_free_points", "draw")
    watch.watch(trainer.renderer.tracer, "trace", "trace")
    watch.watch(trainer.renderer, "forward", "forward")
    for optimiser in trainer.optimisers:
        watch.watch(optimiser, "step", "optimiser")
    watch.watch(trainer, "step", "step")
    return watch


def parts_of_a_step(trainer: Trainer, bodies: list[str], steps: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each part of each step, by body."""
    watch, found = watched(trainer), {body: {part: [] for part in PARTS} for body in bodies}
    plain_backward = torch.Tensor.backward
    try:
        watch.watch(torch.Tensor, "backward", "backward")
        for start in range(-TURN, steps, TURN):  # the first turn warms up
            for body in bodies:
                os.environ["NSR_BACKEND"] = body
                for _ in range(TURN):
                    watch.seconds.clear()
                    trainer.step()
                    if start >= 0:
                        times = {part: 1e3 * sum(seconds) for part, seconds in watch.seconds.items()}
                        times["forward"] -= times["trace"]
                        times["step without trace"] = times["step"] - times["trace"]
                        for part in PARTS:
                            found[body][part].append(times[part])
    finally:
        torch.Tensor.backward = plain_backward
    return found


def parts_table(found: dict[str, dict[str, list[float]]], rays: int) -> list[str]:
    names = {"native": "compiled", "torch": "PyTorch"}
    heads = " | ".join(f"{names[body]}, ms (least / median)" for body in found)
    lines = [f"| default.conf, {rays} rays | {heads} |", "|---|" + "---|" * len(found)]
    for part in PARTS:
        told = (f"{min(times[part]):.2f} / {statistics.median(times[part]):.2f}" for times in found.values())
        lines.append(f"| {part} | {' | '.join(told)} |")
    return lines


def idr_table(scene: Path, steps: int, default: float, rays: int) -> list[str]:
    """Rays a second of a whole step, by the least times."""
    trainer = make_trainer("idr.conf", scene)
    trainer.step()
    watch = Stopwatch()
    watch.watch(trainer, "step", "step")
    for _ in range(steps):
        trainer.step()
    own, idr = 1e3 * rays / default, trainer.config.train.num_pixels / min(watch.seconds["step"])
    return [
        "| whole step | rays/s | ratio |", "|---|---|---|",
        f"| default.conf | {own:.0f} | {own / idr:.0f} |", f"| idr.conf ({steps} steps) | {idr:.0f} | 1 |",
    ]  # fmt: skip


def composite_table(bodies: list[str], seconds: float) -> list[str]:
    torch.manual_seed(0)
    grid = MultiResolutionHashGrid(levels=16, features=2, log2_table=15, base_resolution=16, finest_resolution=2048)
    field = SDFField(grid, ImplicitNetworkConfig(dims=[64, 64], skip_in=[]), feature_size=13)
    x = torch.rand(COMPOSITE_POINTS, 3) * 2 - 1

    def work(body: str) -> None:
        os.environ["NSR_BACKEND"] = body
        field.zero_grad(set_to_none=True)
        sdf, gradient, _ = field.geometry(x)
        (sdf.abs().mean() + (gradient.norm(dim=1) - 1).square().mean()).backward()

    times = least_times({body: lambda body=body: work(body) for body in bodies}, CPU, seconds)
    lines = [f"| SDF, gradient, eikonal backward, {COMPOSITE_POINTS} points | ms |", "|---|---|"]
    lines += [f"| {'compiled' if body == 'native' else 'PyTorch'} | {time:.2f} |" for body, time in times.items()]
    if "native" in times:
        lines.append(f"| PyTorch / compiled | {times['torch'] / times['native']:.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default=ROOT / "data" / "sample", type=Path)
    parser.add_argument("--steps", default=100, type=int)
    parser.add_argument("--idr-steps", default=2, type=int, help="0: without IDR's conf")
    parser.add_argument("--threads", default=2, type=int)
    parser.add_argument("--seconds", default=2.0, type=float, help="for the field alone")
    parser.add_argument("--output", type=Path, help="a file to append the tables to")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(arguments.threads)
    os.environ.pop("NSR_BACKEND", None)
    bodies = ["native", "torch"] if backend.runs_native("hash_encode", CPU) else ["torch"]
    trainer = make_trainer("default.conf", arguments.scene)
    rays = trainer.config.train.num_pixels
    found = parts_of_a_step(trainer, bodies, arguments.steps)
    tables = [parts_table(found, rays)]
    os.environ["NSR_BACKEND"] = bodies[0]
    if arguments.idr_steps:
        tables.append(idr_table(arguments.scene, arguments.idr_steps, min(found[bodies[0]]["step"]), rays))
    tables.append(composite_table(bodies, arguments.seconds))
    text = "\n\n".join("\n".join(lines) for lines in tables)
    print(f"{describe(CPU)}\n\n{text}")
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(f"\n## Parts of a step\n\n{describe(CPU)}\n\n{text}\n")


if __name__ == "__main__":
    main()
