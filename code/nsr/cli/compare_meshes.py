"""``nsr chamfer``: how far a mesh is from a true one."""

from __future__ import annotations

import argparse

from nsr.cli.arguments import positive_int, positive_number

_EXAMPLES = """\
example:
  nsr chamfer exps/default_mug/.../evaluation/surface_world_coordinates_6000.ply scan.ply --threshold 0.5

Distances are from points drawn on one mesh to the triangles of the other, both ways, in the meshes' units.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "chamfer",
        help="Chamfer distance, F-score and normals of a mesh against a true one",
        description="Compare a mesh with the true one, in the same frame.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mesh")
    parser.add_argument("truth")
    parser.add_argument(
        "--threshold", type=positive_number, help="of the F-score (default: a hundredth of the true mesh's diagonal)"
    )
    parser.add_argument("--samples", type=positive_int, default=100_000, help="points on each mesh (default: 100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the points (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from nsr.evaluation.evaluate import read_mesh
    from nsr.evaluation.geometry_metrics import compare_surfaces
    from nsr.meshing.cleanup import orient_outward

    mesh, truth = read_mesh(arguments.mesh, "the mesh"), orient_outward(read_mesh(arguments.truth, "the true mesh"))
    threshold = arguments.threshold or truth.scale / 100
    errors = compare_surfaces(mesh, truth, threshold, samples=arguments.samples, seed=arguments.seed)
    print(
        f"accuracy {errors.accuracy:.6g}, completeness {errors.completeness:.6g}, Chamfer {errors.chamfer:.6g} "
        f"+- {errors.chamfer_standard_error:.2g}"
    )
    print(
        f"F-score {errors.fscore:.4f} at {threshold:.4g} (precision {errors.precision:.4f}, recall {errors.recall:.4f})"
    )
    print(f"normals {errors.normal_degrees:.2f} degrees apart, consistency {errors.normal_consistency:.4f}")
    return 0
