"""A mesh for real use: how long each part takes, and how much memory, from checkpoint to files.

The surface at 512 cells on the shortest axis, its colours and a GLB; then the same surface decimated, unwrapped and
baked.  Prints a table; exits with 1 where the first takes more than 60 s or the process more than 3 GB.

    python benchmarks/mesh.py                           # the model that ships
    python benchmarks/mesh.py RUN --resolution 256 --threads 2
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from timing import describe

from nsr.meshing.colour import vertex_colours, vertex_normals
from nsr.meshing.decimation import decimate
from nsr.meshing.export import export_mesh
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.finished import TEXTURED_FACES
from nsr.meshing.texture import bake_radiance
from nsr.meshing.unwrap import unwrap
from nsr.training.clock import peak_memory_mb
from nsr.training.run import load_run
from nsr.training.run_folder import find_run

MODEL = Path(__file__).resolve().parents[1] / "trained_models" / "small_default"
MOST_SECONDS, MOST_MEGABYTES = 60, 3000


class Parts:
    """Times parts of a work and prints each as a row."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def measure(self, name: str, work, remark=lambda result: ""):
        """Run ``work``; ``remark`` says of its result what the last column says."""
        start = time.perf_counter()
        result = work()
        spent = time.perf_counter() - start
        self.seconds += spent
        print(f"| {name} | {spent:.1f} | {peak_memory_mb():,.0f} | {remark(result)} |", flush=True)
        return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", default=MODEL, help="a run or an experiment (default: the model that ships)")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    renderer = load_run(find_run(arguments.run)).renderer
    fields = renderer.sdf, renderer.radiance
    print(describe(torch.device("cpu")))
    print("| part | seconds | peak memory MB | |\n|---|---|---|---|")

    def triangles(mesh) -> str:
        return f"{len(mesh.faces):,} triangles"

    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "surface.glb"
        parts = Parts()
        mesh = parts.measure("surface", lambda: extract_mesh(renderer.value, arguments.resolution), triangles)
        colours = parts.measure("colours", lambda: vertex_colours(mesh, *fields))
        normals = parts.measure("normals", lambda: vertex_normals(mesh, renderer.sdf))
        parts.measure("GLB", lambda: export_mesh(mesh, path, colours=colours, normals=normals))
        seconds = parts.seconds
        print(f"| together | {seconds:.1f} | {peak_memory_mb():,.0f} | |")
        small = parts.measure("decimation", lambda: decimate(mesh, TEXTURED_FACES), lambda made: triangles(made.mesh))
        flat = parts.measure("unwrapping", lambda: unwrap(small.mesh))
        texture = parts.measure("texture", lambda: bake_radiance(flat, *fields), lambda made: f"{made.picture.shape}")
        parts.measure("textured GLB", lambda: export_mesh(flat.mesh, path, texture=texture))
        print(f"| all | {parts.seconds:.1f} | {peak_memory_mb():,.0f} | |")
    return 1 if seconds > MOST_SECONDS or peak_memory_mb() > MOST_MEGABYTES else 0


if __name__ == "__main__":
    sys.exit(main())
