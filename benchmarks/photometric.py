"""What comparing patches across views adds to a step, in each stage.

Trainers of the same conf, with and without ``photometric.weight``, take turns on the same scene a third of the way into
a short run; each figure is the fastest of its steps.

    python benchmarks/photometric.py                    # the default scene, made first
    python benchmarks/photometric.py FOLDER --set photometric.rays=192 photometric.colour=true
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from timing import describe, least_times

from nsr.config.reader import load_config
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.synthetic import DEFAULT_SPEC, make_scene
from nsr.training.trainer import Trainer

CONF = Path(__file__).resolve().parents[1] / "confs" / "default.conf"
STEPS = 100_000  # of the runs: however many are measured, schedules stand still


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a scene (default: the default scene)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each of the four")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="as in nsr train")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    device = torch.device("cpu")

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or Path(temporary) / "default")
        if arguments.folder is None:
            make_scene(folder, DEFAULT_SPEC)
        scene = load_scene(folder)
    print(describe(device))
    print("| stage | without ms | with patches ms | added ms |\n|---|---|---|---|")
    for renderer in ("surface", "volume"):
        works = {}
        for name, weight in (("without", 0.0), ("with", 0.5)):
            stage = [f"train.renderer={renderer}", f"train.steps={STEPS}"]
            config = load_config(CONF, [f"photometric.weight={weight}", *arguments.set, *stage])
            trainer = Trainer(config, scene, device)
            trainer.clock.step = STEPS // 3
            works[name] = trainer.step
        times = least_times(works, device, arguments.seconds)
        print(
            f"| {renderer} | {times['without']:.1f} | {times['with']:.1f} | {times['with'] - times['without']:.1f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
