"""The search for the surface: compiled, and in PyTorch on either encoding, in one run, in the middle of a training.

A conf is trained for half of a short run on a scene; then one batch of training rays (with the bounds, and the closest
samples of rays that miss), one of whole-view rays, and values at random points are measured.  Three columns: the
compiled operators (bounds are part of the search there); the PyTorch tracer on the compiled encoding; everything in
PyTorch.  Times are the least over repetitions that take turns, in milliseconds.  Prints a table in Markdown; with
--output writes it too.

    python benchmarks/sphere_trace.py SCENE_FOLDER [--conf default] [--steps 600] [--device cuda]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch

from nsr.config.reader import load_config
from nsr.ops import backend
from nsr.scenes.idr_folder import load_scene
from nsr.training.trainer import Trainer

CONFS = Path(__file__).resolve().parents[1] / "confs"


def trained_halfway(scene_folder: Path, conf: Path, steps: int, device: torch.device) -> Trainer:
    """A trainer after half of its steps."""
    config = load_config(conf)
    config.train.steps, config.train.minutes = steps, 0.0
    dataset = config.dataset
    scene = load_scene(scene_folder, heldout_every=dataset.heldout_every, heldout_offset=dataset.heldout_offset)
    trainer = Trainer(config, scene, device)
    for _ in range(steps // 2):
        trainer.step()
    return trainer


def in_pytorch(trainer: Trainer, origins, directions, mask) -> object:
    """The PyTorch tracer, whatever body the encoding has; gradients on keep the field from the operator of its own."""
    sdf = trainer.renderer.sdf

    def value(x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            return sdf.value(x).detach()

    return trainer.renderer.tracer.trace(value, origins, directions, mask)


def rows(trainer: Trainer, points: int) -> dict[str, tuple[Callable[[], object] | None, Callable[[], object]]]:
    """Name to (work with all compiled operators, None where it has no operator of its own; the same in PyTorch)."""
    renderer, device = trainer.renderer, trainer.device
    batch = trainer.sampler.draw(trainer.config.train.num_pixels)
    origins, directions = trainer.cameras.rays(batch.views, batch.pixels)
    height, width = trainer.scene.images[0].shape[:2]
    pixels = torch.stack([torch.arange(4096, device=device) % width, torch.arange(4096, device=device) // width], 1)
    pixels = pixels + torch.tensor([0, height // 2 - 4096 // width // 2], device=device)
    view = torch.zeros(4096, dtype=torch.long, device=device)
    view_rays = trainer.cameras.rays(view, pixels.to(origins.dtype))
    x = torch.rand(points, 3, device=device) * 2 - 1

    def value_by_layers() -> None:
        with torch.enable_grad():
            renderer.sdf.value(x)

    return {
        f"{len(origins)} training rays": (
            lambda: renderer.trace(origins, directions, batch.mask),
            lambda: in_pytorch(trainer, origins, directions, batch.mask),
        ),
        f"their bounds alone ({type(renderer.tracer.bounds).__name__})": (
            None, lambda: renderer.tracer.bounds(origins, directions),
        ),
        "4096 rays of a view": (
            lambda: renderer.trace(*view_rays), lambda: in_pytorch(trainer, *view_rays, None),
        ),
        f"values at {points} points": (lambda: renderer.sdf.value(x), value_by_layers),
    }


def least_times(works: dict[str, Callable[[], object]], device: torch.device, seconds: float) -> dict[str, float]:
    """Milliseconds of the fastest of each work's runs; the works take turns."""
    times = {name: [] for name in works}
    end = time.perf_counter() + seconds
    while min(map(len, times.values())) < 4 or time.perf_counter() < end:
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times[name].append(time.perf_counter() - start)
    return {name: 1e3 * min(values) for name, values in times.items()}


def with_backend(name: str, work: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        os.environ["NSR_BACKEND"] = name
        return work()

    return run


@torch.no_grad()
def make_table(trainer: Trainer, points: int, seconds: float) -> str:
    device = trainer.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    lines = [
        f"{datetime.date.today()}, {name}, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}; {trainer.scene.name}, conf {trainer.config.train.expname} after "
        f"{trainer.clock.step} of {trainer.config.train.steps} steps",
        "",
        "| | compiled, ms | PyTorch tracer, compiled encoding, ms | PyTorch, ms | ratios |",
        "|---|---|---|---|---|",
    ]
    compiled = backend.runs_native("sphere_trace", device)
    for title, (whole, by_layers) in rows(trainer, points).items():
        works = {"torch": with_backend("torch", by_layers)}
        if compiled:
            works["mixed"] = with_backend("native", by_layers)
        if compiled and whole is not None:
            works["native"] = with_backend("native", whole)
        times = least_times(works, device, seconds)
        cells = [f"{times[name]:.2f}" if name in times else "-" for name in ("native", "mixed", "torch")]
        ratios = [times[name] / times["native"] for name in ("mixed", "torch")] if "native" in times else []
        lines.append(f"| {title} | {' | '.join(cells)} | {', '.join(f'{ratio:.1f}' for ratio in ratios)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--conf", default="default", help="of confs/, or a file")
    parser.add_argument("--steps", default=600, type=int, help="of the run, half of which is trained")
    parser.add_argument("--points", default=65536, type=int)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--seconds", default=3.0, type=float, help="for each row")
    parser.add_argument("--output", type=Path, help="a file to append the table to")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    conf = Path(arguments.conf) if arguments.conf.endswith(".conf") else CONFS / f"{arguments.conf}.conf"
    trainer = trained_halfway(arguments.scene, conf, arguments.steps, arguments.device)
    table = make_table(trainer, arguments.points, arguments.seconds)
    print(f"\n{table}")
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(f"\n## Search for the surface\n\n{table}")


if __name__ == "__main__":
    main()
