"""Depth super-resolution: a checkpoint against bicubic interpolation, and where the decimation sets the limit.

Prints the RMSE of the result and of bicubic interpolation, on all pixels, about edges and inside surfaces, for held-out
made scenes and, where NSR_DATA is set, for real maps; the time of a frame of 640x480; and what bicubic interpolation of
a straight step costs, by decimation, beside the least that anything can reach there.

    python benchmarks/depth_super_resolution.py [--checkpoint FILE] [--num 20]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from timing import describe, least_times

from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.common.evaluation import evaluate_all, mean_figures
from nsr.priors.networks.common.run_folder import shipped
from nsr.priors.networks.depth_super_resolution.family import FAMILY
from nsr.priors.networks.depth_super_resolution.interpolation import upsample

FRAME = (480, 640)
SEED = 1000  # of frames that no training with its default seed has seen
PARTS = ("rmse_mm", "edges_rmse_mm", "interiors_rmse_mm")
STEP_FACTOR = 32


def step_error(kind: str, phase: float) -> float:
    """Squared error that bicubic interpolation makes about one straight step along the pixel axes, averaged over where
    it lies: in low-resolution pixels times the step's height squared."""
    length = 24 * STEP_FACTOR
    errors = []
    for offset in range(STEP_FACTOR):
        step = torch.zeros(1, 1, 1, length, dtype=torch.float64)
        step[..., length // 2 + offset + 1 :] = 1
        blocks = step.view(1, 1, 1, 24, STEP_FACTOR)
        low = blocks[..., 0] if kind == "interval" else blocks.mean(-1)
        fine = upsample(low.expand(1, 1, 8, 24).contiguous(), STEP_FACTOR, phase)[0, 0, 2 * STEP_FACTOR]
        errors.append((fine - step[0, 0, 0])[length // 4 : -length // 4].square().sum() / STEP_FACTOR)
    return float(np.mean(errors))


def table(checkpoint: Path, count: int) -> list[str]:
    task = task_from_checkpoint(checkpoint, FAMILY)
    sets = ["synthetic", *(["real"] if os.environ.get("NSR_DATA") else [])]
    lines = ["| maps | factor | method | RMSE mm | edges | interiors | of bicubic |", "|---|---|---|---|---|---|---|"]
    for data in sets:
        options = argparse.Namespace(data=data, num=count, seed=SEED, depth_unit="mm")
        frames = FAMILY.test_dataset(options)
        for factor in (2, 4, 8):
            task.factor, task.refine = factor, True
            rows = evaluate_all(task, frames)
            for scene in dict.fromkeys(data if data == "synthetic" else name for name in frames.scenes):
                chosen = [row for row, name in zip(rows, frames.scenes, strict=True) if scene in (data, name)]
                means = mean_figures(chosen)
                for method in ("bicubic", f"x{factor}", "fused", "refined"):
                    figures = [means[f"{method}_{part}"] for part in PARTS]
                    ratio = figures[0] / means["bicubic_rmse_mm"]
                    told = " | ".join(f"{figure:.1f}" for figure in figures)
                    lines.append(f"| {scene} ({len(chosen)}) | {factor} | {method} | {told} | {ratio:.3f} |")
    task.refine = False
    frame = {"depth": 1 + torch.rand(1, *FRAME), "mask": torch.ones(1, *FRAME), "name": "frame", "scene": "noise"}
    times = {}
    for factor in (4, 8):
        task.factor = factor
        with torch.inference_mode():
            times |= least_times({f"x{factor}": lambda: task.predict(frame)}, torch.device("cpu"), 2.0)
    lines.append("")
    lines += [f"{name} to {FRAME[1]}x{FRAME[0]}: {spent:.0f} ms" for name, spent in times.items()]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="(default: the one that ships)")
    parser.add_argument("--num", type=int, default=20, help="frames of each set (default: %(default)s)")
    arguments = parser.parse_args()
    print(f"{describe(torch.device('cpu'))}\n")
    print("\n".join(table(arguments.checkpoint or shipped(FAMILY.name), arguments.num)))
    print("\nSquared error about a straight step, low-resolution pixels x height^2: bicubic (least possible)")
    print(f"interval {step_error('interval', 0.0):.4f} ({1 / 6:.4f})   area {step_error('area', 0.5):.4f} (0)")


if __name__ == "__main__":
    main()
