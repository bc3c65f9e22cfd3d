"""What a step of the volume stage costs, part by part, beside one of the surface stage.

Both are of the same conf on the same scene, a third of the way into a short run; each figure is the fastest and the
median of the steps measured.

    python benchmarks/volume_step.py                    # the default scene, made first
    python benchmarks/volume_step.py FOLDER --set volume.samples=16
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

import torch
from timing import Stopwatch

import nsr
from nsr.config.reader import load_config
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.synthetic import DEFAULT_SPEC, make_scene
from nsr.training.trainer import Trainer

CONF = Path(__file__).resolve().parents[1] / "confs" / "default.conf"
WARM_UP = 10


def measure(config, scene, renderer: str, steps: int) -> dict[str, list[float]]:
    """Seconds of each part of ``steps`` steps."""
    config.train.renderer, config.train.steps = renderer, 3 * (WARM_UP + steps)
    trainer, watch = Trainer(config, scene, torch.device("cpu")), Stopwatch()
    trainer.clock.step = WARM_UP + steps
    for _ in range(WARM_UP):
        trainer.step()
    watch.watch(trainer.sampler, "draw", "draw pixels")
    if renderer == "volume":
        watch.watch(trainer.renderer.tracer, "bounds", "bounds")
        watch.watch(trainer.renderer.sdf, "value", "coarse samples")
        watch.watch(trainer.stages.volume, "forward", "whole forward")
    else:
        watch.watch(trainer.renderer.tracer, "trace", "trace")
        watch.watch(trainer.renderer, "forward", "whole forward")
    for optimiser in trainer.optimisers:
        watch.watch(optimiser, "step", "optimiser")
    watch.watch(trainer, "step", "step")
    for _ in range(steps):
        trainer.step()
    return watch.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a scene (default: the default scene)")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in nsr train")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or Path(temporary) / "default")
        if arguments.folder is None:
            make_scene(folder, DEFAULT_SPEC)
        scene = load_scene(folder)
    print(f"nsr {nsr.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"{platform.processor() or platform.machine()}")  # fmt: skip
    print("| stage | part | fastest ms | median ms |\n|---|---|---|---|")
    for renderer in ("volume", "surface"):
        config = load_config(CONF, arguments.set)
        rays = config.volume.num_pixels if renderer == "volume" else config.train.num_pixels
        for part, seconds in measure(config, scene, renderer, arguments.steps).items():
            middle = sorted(seconds)[len(seconds) // 2]
            print(f"| {renderer} ({rays} rays) | {part} | {1e3 * min(seconds):.1f} | {1e3 * middle:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
