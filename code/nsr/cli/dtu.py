"""``nsr dtu``: Chamfer distances on DTU, of one mesh or of many scans and encoders."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from nsr.cli.arguments import number_from_zero, positive_number
from nsr.errors import NsrError

MESH_NAME = "surface_world_coordinates_*.ply"

_EXAMPLES = """\
examples:
  nsr dtu surface.ply --scan 65 --dataset DTU/SampleSet          one mesh
  nsr dtu evals --dataset DTU/SampleSet                          all that eval.py has written, as a table
  nsr dtu exps/default_24 exps/ffb_24 --dataset DTU/SampleSet    the evaluated runs of two encoders

A folder stands for the newest surface_world_coordinates_<step>.ply in it, or in its newest run's evaluation/, or for
its sub-folders; its name <method>_<scan> says which scan it is.  DATASET holds ObsMask/ and Points/.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "dtu",
        help="Chamfer distances on DTU, as published tables have them",
        description="Measure meshes against DTU's structured light scans by the official protocol.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("meshes", nargs="+", metavar="MESH", help="a mesh, a cloud of points, or a folder")
    parser.add_argument("--dataset", required=True, help="folder of DTU's evaluation data: ObsMask/ and Points/")
    parser.add_argument("--scan", type=int, help="the scan, where the name does not end in _<scan>")
    parser.add_argument("--output", default=".", help="where dtu_chamfer.csv and error clouds go (default: here)")
    parser.add_argument("--reference", choices=("stl", "tola", "furu", "camp"), default="stl", help="(default: stl)")
    parser.add_argument("--surfaces", action="store_true", help="the reference's mesh in Surfaces/, not its points")
    parser.add_argument("--error_clouds", action="store_true", help="write points coloured by their distance")
    parser.add_argument("--visualize_threshold", type=positive_number, default=10.0, help="mm shown red (default: 10)")
    parser.add_argument("--downsample_density", type=positive_number, default=0.2, help="mm (default: 0.2)")
    parser.add_argument("--patch_size", type=number_from_zero, default=60.0, help="mm about the mask (default: 60)")
    parser.add_argument("--max_dist", type=positive_number, default=20.0, help="mm that count (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the thinning (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure; prints a line per mesh and the table."""
    from nsr.evaluation.dtu_chamfer import dtu_chamfer, load_reference, read_points, write_error_clouds
    from nsr.evaluation.dtu_table import ScanFigure, format_table, write_figures
    from nsr.meshing.output import writing_to

    meshes = [found for name in arguments.meshes for found in _find_meshes(Path(name), arguments.scan)]
    figures = []
    output = Path(arguments.output)
    with writing_to(output, "the measurements"):
        for path, method, scan in meshes:
            reference = load_reference(arguments.dataset, scan, arguments.reference, surfaces=arguments.surfaces)
            result = dtu_chamfer(
                *read_points(path), reference, spacing=arguments.downsample_density, margin=arguments.patch_size,
                max_distance=arguments.max_dist, seed=arguments.seed,
            )  # fmt: skip
            print(
                f"{method}, scan {scan}: accuracy {result.accuracy:.4f} completeness {result.completeness:.4f} "
                f"overall {result.overall:.4f} mm"
            )
            if arguments.error_clouds:
                write_error_clouds(result, output, f"{method}_{scan}", largest=arguments.visualize_threshold)
            figures.append(
                ScanFigure(
                    method, scan, result.accuracy, result.completeness, result.overall, arguments.reference, str(path)
                )
            )
            write_figures(output / "dtu_chamfer.csv", figures)
    print()
    print(format_table(figures, published=arguments.reference == "stl" and not arguments.surfaces))
    return 0


def _find_meshes(path: Path, scan: int | None) -> list[tuple[Path, str, int]]:
    """(mesh, method, scan) of a file, a folder with a mesh, an evaluated run, or a folder of such folders."""
    if path.is_file():
        return [(path, *_method_and_scan(path.stem, scan, path))]
    if not path.is_dir():
        raise NsrError(f"{path}: there is no such mesh or folder")
    runs = sorted(path.glob(f"*/evaluation/{MESH_NAME}"), key=lambda found: (found.parts[-3], _step(found)))
    here = sorted([*path.glob(MESH_NAME), *path.glob(f"evaluation/{MESH_NAME}")], key=_step)
    if here or runs:
        named = path.resolve()
        if not here or re.fullmatch(r"\d{4}(_\d{2}){5}", named.name):
            named = named if runs else named.parent
        return [((here or runs)[-1], *_method_and_scan(named.name, scan, path))]
    below = [found for folder in sorted(path.iterdir()) if folder.is_dir() and _holds_mesh(folder)
             for found in _find_meshes(folder, scan)]  # fmt: skip
    if not below:
        raise NsrError(f"{path}: no {MESH_NAME} in it, in its runs or in its folders; evaluate first")
    return below


def _holds_mesh(folder: Path) -> bool:
    return any(
        next(folder.glob(pattern), None)
        for pattern in (MESH_NAME, f"evaluation/{MESH_NAME}", f"*/evaluation/{MESH_NAME}")
    )


def _step(path: Path) -> int:
    number = re.search(r"_(\d+)$", path.stem)
    return int(number[1]) if number else -1


def _method_and_scan(name: str, scan: int | None, path: Path) -> tuple[str, int]:
    match = re.fullmatch(r"(.+?)_(?:scan)?(\d+)", name)
    if scan is not None:
        return (match[1] if match and int(match[2]) == scan else name), scan
    if not match:
        raise NsrError(f"{path}: its name does not end in _<scan>; say which scan it is with --scan")
    return match[1], int(match[2])
