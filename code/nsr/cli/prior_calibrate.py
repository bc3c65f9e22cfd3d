"""``nsr prior calibrate``: whether the error of priors falls with their confidence, where the truth is known."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_calibrate(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "calibrate",
        help="error of priors by their confidence, against true ones",
        description="Compare bundles with true ones of the same scene (nsr prior exact), by confidence; writes "
        "calibration.csv and calibration.html.",
    )
    parser.add_argument("scene", help="scene folder")
    parser.add_argument("bundles", type=Path, help="folder of the bundles")
    parser.add_argument("truth", type=Path, help="folder of the true bundles")
    parser.add_argument("--output", type=Path, help="folder to write to (default: that of the bundles)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from nsr.priors.calibration import UNITS, calibration, write_calibration
    from nsr.priors.loading import load_bundles
    from nsr.scenes.idr_folder import load_scene
    from nsr.scenes.locate import resolve_scene_folder

    scene = load_scene(resolve_scene_folder(arguments.scene), heldout_every=0)
    folders = (arguments.bundles.resolve(), arguments.truth.resolve())
    bundles, truth = (load_bundles(scene, folder, scene.train_views) for folder in folders)
    found = calibration(bundles, truth)
    for kind, bins in found.items():
        print(f"{kind}, {UNITS[kind]}:")
        for row in bins:
            print(f"  confidence {row.low:.1f} to {row.high:.1f}: {row.error:.4g} over {row.pixels} pixels")
    paths = write_calibration(arguments.output or arguments.bundles, found, f"{scene.name}: error by confidence")
    print("written: " + ", ".join(map(str, paths)))
    return 0
