"""``nsr scene import`` and ``nsr scene board``: own photographs, and the cameras of other programs, as a scene."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import number_from_zero, positive_int, positive_number
from nsr.cli.locations import output_folder

_EXAMPLES = """\
examples:
  nsr scene import mug/ data/mug                           a COLMAP, nerfstudio, ... folder: recognised by its files
  nsr scene import photos/ data/mug                        photographs only: COLMAP finds the cameras (pycolmap)
  nsr scene import mug/ data/mug --masks mug/masks         masks that you made
  nsr scene import dino/ data/dino --masks threshold --threshold 0.19 --dilate 10 --erode 10
  nsr scene import room/ data/room --masks none --center 0 0 1.2 --radius 0.8

docs/own_photographs.md says more: what each format is taken to mean, and what to do when a scene fails its check.
"""

# As nsr.scenes.importing.formats has them, which takes long to import.
FORMATS = (
    "transforms", "blender", "colmap", "llff", "middlebury", "polycam", "record3d", "metashape", "board",
    "photographs",
)  # fmt: skip


def add_import(tools: argparse._SubParsersAction) -> None:
    parser = tools.add_parser(
        "import",
        help="make a scene of your photographs, or of another program's cameras",
        description="Read cameras and photographs of another program, take the lens's distortion out, find the "
        "object's masks, move the object into the unit sphere, and write image/, mask/ and cameras.npz.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", help="folder or file of the other program")
    parser.add_argument("target", help="where to write the scene; must not hold one yet")
    parser.add_argument("--format", help="of the source, instead of recognising it: %(choices)s", choices=FORMATS)
    parser.add_argument("--images", type=Path, help="folder of the photographs, where the source does not lead there")
    parser.add_argument(
        "--matcher",
        choices=("exhaustive", "sequential"),
        help="with --format photographs: compare all pairs, or neighbours only, as for a film (default: exhaustive)",
    )
    parser.add_argument(
        "--board",
        type=positive_number,
        nargs=4,
        metavar=("COLUMNS", "ROWS", "MARKER", "GAP"),
        help="photographs of a ring of ArUco markers as 'nsr scene board' prints it (default: 7 5 30 8)",
    )
    parser.add_argument("--views", type=Path, help="text file: the photographs to take, a name a line (default: all)")
    parser.add_argument(
        "--max_size",
        type=positive_int,
        metavar="PIXELS",
        help="make photographs smaller whose longer side exceeds this, before all else; intrinsics follow",
    )
    masks = parser.add_argument_group("masks")
    masks.add_argument(
        "--masks",
        metavar="METHOD|FOLDER",
        help="alpha, threshold (plain background), grabcut (seeded by sparse points), rembg (a network, where "
        "installed), none (no masks: everything is object), or a folder of masks (default: the source's own, else "
        "alpha, else grabcut)",
    )
    masks.add_argument(
        "--threshold", type=number_from_zero, help="the object is brighter than this, 0 to 1 (default: chosen)"
    )
    masks.add_argument("--invert", action="store_true", help="the object is the darker part")
    masks.add_argument("--dilate", type=int, default=0, help="grow a thresholded mask by so many pixels first")
    masks.add_argument("--erode", type=int, default=0, help="and shrink it by so many after")
    masks.add_argument("--keep_all_parts", action="store_true", help="not the largest connected part only")
    masks.add_argument("--keep_holes", action="store_true", help="for objects that one can see through")
    sphere = parser.add_argument_group("unit sphere")
    sphere.add_argument(
        "--normalise", choices=("masks", "points"), help="what tells where the object is (default: masks)"
    )
    sphere.add_argument("--center", type=float, nargs=3, metavar=("X", "Y", "Z"), help="by hand, in the source's world")
    sphere.add_argument("--radius", type=positive_number, help="goes with --center")
    sphere.add_argument(
        "--box",
        type=float,
        nargs=6,
        metavar=("X0", "Y0", "Z0", "X1", "Y1", "Z1"),
        help="or the corners of a box round the object",
    )
    sphere.add_argument(
        "--agreement",
        type=positive_number,
        default=0.9,
        help="share of the masks that must hold a point for it to be the object's (default: 0.9)",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    import numpy as np

    from nsr.scenes.importing.import_scene import ImportOptions, import_scene
    from nsr.scenes.importing.object_masks import METHODS, MaskOptions

    method = arguments.masks
    options = ImportOptions(
        format=arguments.format or ("board" if arguments.board else None),
        images=arguments.images,
        masks=method if method is None or method in METHODS else Path(method).expanduser(),
        mask_options=MaskOptions(
            threshold=arguments.threshold,
            invert=arguments.invert,
            dilate=arguments.dilate,
            erode=arguments.erode,
            largest_component=not arguments.keep_all_parts,
            fill_holes=not arguments.keep_holes,
        ),
        views=_names(arguments.views),
        sphere=_sphere(arguments),
        normalise=arguments.normalise,
        agreement=arguments.agreement,
        max_size=arguments.max_size,
        reading=_reading(arguments),
    )
    target = output_folder(arguments.target)
    report = import_scene(Path(arguments.source).expanduser(), target, options)
    print(f"scene: {target} ({report.views} views from {report.format}, masks by {report.masks})")
    centre = ", ".join(f"{value:.4g}" for value in report.sphere.centre)
    print(f"unit sphere: centre {centre}, radius {report.sphere.radius:.4g} in the source's world")
    if report.overlap:
        median, worst = np.median(report.overlap), min(report.overlap)
        print(f"masks and cameras: IoU with the visual hull {median:.3f} (median), {worst:.3f} (worst)")
    if report.points:
        print(f"sparse points: {report.points}")
    return 0


def _ring(values: list[float]):
    from nsr.errors import SceneError
    from nsr.scenes.importing.board import MarkerRing

    columns, rows, marker, gap = values
    if columns % 1 or rows % 1:
        raise SceneError(f"--board: {columns:g} columns and {rows:g} rows must be whole numbers")
    return MarkerRing(int(columns), int(rows), marker, gap)


def _reading(arguments: argparse.Namespace) -> dict:
    """What only one format's reader understands."""
    from nsr.errors import SceneError

    if arguments.matcher and arguments.format != "photographs":
        raise SceneError("--matcher goes with --format photographs")
    if arguments.board and arguments.format not in (None, "board"):
        raise SceneError("--board goes with --format board")
    reading = {"matcher": arguments.matcher} if arguments.matcher else {}
    return reading | ({"ring": _ring(arguments.board)} if arguments.board else {})


def add_board(tools: argparse._SubParsersAction) -> None:
    parser = tools.add_parser(
        "board",
        help="print a sheet of markers to photograph an object in",
        description="Write a sheet with a ring of ArUco markers; print it at its true size, lay it flat, put the "
        "object into the middle, and 'nsr scene import PHOTOGRAPHS TARGET --format board' finds the cameras.",
    )
    parser.add_argument("file", help="a .png or .pdf")
    parser.add_argument(
        "--board",
        type=positive_number,
        nargs=4,
        default=[7, 5, 30, 8],
        metavar=("COLUMNS", "ROWS", "MARKER", "GAP"),
        help="markers along the sides, and millimetres of a marker's side and of a gap (default: 7 5 30 8)",
    )
    parser.set_defaults(run=_run_board)


def _run_board(arguments: argparse.Namespace) -> int:
    from nsr.scenes.importing.board import write_board

    ring = _ring(arguments.board)
    write_board(arguments.file, ring)
    print(f"board: {arguments.file} ({ring.size[0]:g} x {ring.size[1]:g} mm and a margin); print it at 100 %")
    return 0


def _names(path: Path | None) -> list[str] | None:
    if path is None:
        return None
    from nsr.scenes.importing.files import read_text

    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _sphere(arguments: argparse.Namespace):
    from nsr.errors import SceneError
    from nsr.scenes.importing.normalisation import sphere_by_hand, sphere_of_box

    if (arguments.center is None) != (arguments.radius is None):
        raise SceneError("--center and --radius go together")
    if arguments.center is not None and arguments.box is not None:
        raise SceneError("give --center and --radius, or --box, not both")
    if arguments.box is not None:
        return sphere_of_box(arguments.box[:3], arguments.box[3:])
    return None if arguments.center is None else sphere_by_hand(arguments.center, arguments.radius)
