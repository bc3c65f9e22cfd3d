"""The default scene: how long it takes, and how far from easy it is.

Makes the scene and measures, against its own ground truth and in pixel footprints, the visual hull of its training
views (silhouettes alone do not solve it) and its surface without the relief (nor does a smooth reconstruction).
Prints a table; exits with 1 where a bound is missed.

    python benchmarks/default_scene.py [--folder data/default]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import trimesh
from skimage.measure import marching_cubes

from nsr.evaluation.geometry_metrics import compare_surfaces, pixel_footprint
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.scene import Scene
from nsr.scenes.synthetic import DEFAULT_SPEC, make_scene
from nsr.scenes.synthetic.generate import make_surface
from nsr.scenes.visual_hull import VisualHull

HULL_RESOLUTION = 192


def hull_mesh(scene: Scene) -> trimesh.Trimesh:
    """The visual hull of the training views, normalised frame."""
    masks = [scene.masks[view] for view in scene.train_views]
    hull = VisualHull.carve(masks, scene.cameras.select(scene.train_views), HULL_RESOLUTION)
    vertices, faces, _, _ = marching_cubes(hull.grid.numpy(), 0.0, gradient_direction="descent")
    return trimesh.Trimesh(vertices * (2 / (hull.resolution - 1)) - 1, faces, process=False)


def measure(folder: Path) -> list[tuple[str, float, str, float, float]]:
    """Make the scene; rows of name, value, unit, and the bounds within which the value must lie."""
    start = time.perf_counter()
    make_scene(folder, DEFAULT_SPEC)
    seconds = time.perf_counter() - start

    scene = load_scene(folder)
    truth = trimesh.load(scene.ground_truth_mesh, process=False)
    truth.vertices = scene.to_normalised(np.asarray(truth.vertices))
    footprint = pixel_footprint(scene, truth)
    smooth = make_surface(DEFAULT_SPEC.without_relief())
    sizes = [tuple(mask.shape) for mask in scene.masks]

    def chamfer(mesh: trimesh.Trimesh) -> float:
        errors = compare_surfaces(
            mesh, truth, footprint, cameras=scene.cameras, views=scene.train_views, sizes=sizes, samples=30_000
        )
        return errors.chamfer / footprint

    infinity = float("inf")
    return [
        ("time to make it", seconds, "s", 0, 30),
        ("pixel footprint", footprint, "of the unit sphere's radius", 0, infinity),
        ("ground truth's own error", make_surface(DEFAULT_SPEC).sampling_error / footprint, "footprints", 0, 0.02),
        ("visual hull, Chamfer", chamfer(hull_mesh(scene)), "footprints", 2, infinity),
        (
            "surface without relief, Chamfer",
            chamfer(trimesh.Trimesh(smooth.vertices, smooth.faces, process=False)),
            "footprints",
            0.8,
            infinity,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="keep the scene here (default: it is thrown away)")
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        rows = measure(arguments.folder or Path(temporary) / "default")
    missed = False
    for name, value, unit, low, high in rows:
        kept = low <= value <= high
        missed |= not kept
        bound = f"at least {low}" if high == float("inf") and low else f"at most {high}" if high < float("inf") else ""
        print(f"{name:34} {value:10.4g} {unit:28} {bound:14} {'' if kept else 'MISSED'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
