"""What rough cameras become: aligned by outlines, by features and outlines, and after a run that refines them.

The default scene is made and its cameras are perturbed by 2 degrees and 2 % of their distance; DTU/scan65 is looked for
below the folder in NSR_DATA and starts from its own cameras_linear_init.npz.  Prints the errors of the training views'
cameras after alignment with the true ones, in degrees and world units, and, with --minutes, those after training with
confs/default_trained_cameras.conf, and of its mesh.

    python benchmarks/trained_cameras.py                       # the alignments before a run alone
    python benchmarks/trained_cameras.py default --minutes 5   # and a run
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import nsr
from nsr.config.reader import load_config
from nsr.evaluation.camera_accuracy import evaluate_cameras
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.perturb import ROUGH_CAMERA_FILE, write_perturbed_cameras
from nsr.scenes.synthetic import DEFAULT_SPEC, make_scene
from nsr.training.feature_alignment import with_features_aligned
from nsr.training.outline_alignment import with_outlines_aligned

CONF = Path(__file__).resolve().parents[1] / "confs" / "default_trained_cameras.conf"
DEGREES, PART_OF_DISTANCE = 2.0, 0.02
ERRORS = ("rotation mean, degrees", "median", "centre mean, world units", "median")
COLUMNS = ("scene", "cameras", "s", *ERRORS, "Chamfer px")


def alignments(name: str, folder: Path) -> list[list[str]]:
    """Rows for the cameras as given, after their outlines and after their features have been aligned."""
    train = load_config(CONF).train
    scene = load_scene(folder, cam_file=ROUGH_CAMERA_FILE)
    rows = [row(name, "given", 0.0, evaluate_cameras(scene.cameras.poses.numpy(), scene).figures())]
    steps = [
        ("outlines aligned", lambda scene: with_outlines_aligned(scene, train.outline_alignment)),
        ("features aligned", lambda scene: with_features_aligned(scene, train.feature_alignment)),
    ]
    for what, align in steps:
        start = time.perf_counter()
        scene = align(scene)
        seconds = time.perf_counter() - start
        rows.append(row(name, what, seconds, evaluate_cameras(scene.cameras.poses.numpy(), scene).figures()))
    return rows


def trained(name: str, folder: Path, minutes: float, output: Path) -> list[str]:
    """A row for a run, set-up included."""
    command = [sys.executable, "-m", "nsr.cli.main"]
    train = ["train", folder, "--conf", CONF, "--train_cameras", "--minutes", minutes, "--exps_folder", output]
    subprocess.run(list(map(str, [*command, *train])), check=True)
    subprocess.run(list(map(str, [*command, "eval", output, "--eval_cameras"])), check=True)
    metrics = json.loads(next(output.glob("*/*/evaluation/metrics.json")).read_text())
    chamfer = (metrics["geometry"] or {}).get("chamfer_pixels")
    return row(name, "trained", metrics["train_seconds"], metrics["cameras"]["refined"], chamfer)


def row(name: str, what: str, seconds: float, figures: dict, chamfer: float | None = None) -> list[str]:
    kinds = [f"{error}_{kind}" for error in ("rotation_degrees", "centre_distance") for kind in ("mean", "median")]
    errors = [format(figures[kind], ".4f") for kind in kinds]
    return [name, what, f"{seconds:.0f}", *errors, "-" if chamfer is None else f"{chamfer:.3f}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", default=["default", "scan65"], metavar="SCENE")
    parser.add_argument("--minutes", type=float, help="of training (default: none)")
    arguments = parser.parse_args()

    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in arguments.scenes:
            if name == "default":
                folder = Path(temporary) / "default"
                make_scene(folder, DEFAULT_SPEC)
                write_perturbed_cameras(folder, DEGREES, PART_OF_DISTANCE, seed=0)
            elif "NSR_DATA" in os.environ:
                folder = Path(os.environ["NSR_DATA"]) / "DTU" / name
            else:
                print(f"{name}: skipped, NSR_DATA is not set")
                continue
            rows += alignments(name, folder)
            if arguments.minutes:
                rows.append(trained(name, folder, arguments.minutes, Path(temporary) / f"runs_{name}"))
    machine = platform.processor() or platform.machine()
    print(f"nsr {nsr.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, {machine}")
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
