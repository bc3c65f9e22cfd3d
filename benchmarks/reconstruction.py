"""What a reconstruction reaches, and in what time: the README's table.

Each scene is trained and evaluated by the `nsr` command in processes of their own; the figures are those of its
metrics.json.  The default scene is made first; real scenes are looked for below the folder in NSR_DATA.

    python benchmarks/reconstruction.py                      # default scene, DTU/scan65, tankard
    python benchmarks/reconstruction.py default --minutes 4
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import nsr

REAL = {"scan65": "DTU/scan65", "tankard": "tankard"}
MINUTES = {"default": 4.0, "scan65": 8.0, "tankard": 8.0}
COLUMNS = ("scene", "train s", "eval s", "peak MB", "train dB", "held-out dB", "held-out IoU", "hull IoU", "Chamfer px")


def reconstruct(folder: Path, minutes: float, seed: int, output: Path, settings: list[str]) -> dict:
    """Train and evaluate one scene; its metrics."""
    command = [sys.executable, "-m", "nsr.cli.main"]
    train = [*command, "train", folder, "--minutes", minutes, "--seed", seed, "--exps_folder", output]
    for setting in settings:
        train += ["--set", setting]
    subprocess.run(list(map(str, train)), check=True)
    subprocess.run(list(map(str, [*command, "eval", output])), check=True)
    return json.loads(next(output.glob("*/*/evaluation/metrics.json")).read_text())


def row(name: str, metrics: dict) -> list[str]:
    heldout = metrics["heldout"] or {}
    geometry = metrics["geometry"] or {}
    figures = [
        (metrics["train_seconds"], ".0f"), (metrics["eval_seconds"], ".0f"), (metrics["peak_memory_mb"], ".0f"),
        (metrics["train"]["psnr"], ".2f"), (heldout.get("psnr"), ".2f"), (heldout.get("iou"), ".4f"),
        (heldout.get("hull_iou"), ".4f"), (geometry.get("chamfer_pixels"), ".3f"),
    ]  # fmt: skip
    return [name, *("-" if value is None else format(value, digits) for value, digits in figures)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", default=list(MINUTES), choices=[*MINUTES, []], metavar="SCENE")
    parser.add_argument("--minutes", type=float, help="of training (default: 4 for the default scene, 8 for real ones)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in nsr train")
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.scenes:
            folder = Path(temporary) / "default"
            if name == "default":
                if not folder.exists():
                    subprocess.run([sys.executable, "-m", "nsr.cli.main", "scene", "make", str(folder)], check=True)
            elif "NSR_DATA" in os.environ:
                folder = Path(os.environ["NSR_DATA"]) / REAL[name]
            else:
                print(f"{name}: skipped, NSR_DATA is not set")
                continue
            for seed in arguments.seeds:
                minutes = arguments.minutes or MINUTES[name]
                output = Path(temporary) / f"{name}_{seed}"
                rows.append(row(f"{name} seed {seed}", reconstruct(folder, minutes, seed, output, arguments.set)))
    machine = platform.processor() or platform.machine()
    print(f"nsr {nsr.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, {machine}")
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
