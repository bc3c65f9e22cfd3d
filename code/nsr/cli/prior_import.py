"""``nsr prior import``: depth and normals of sensors and other programs, as priors of a scene."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import positive_number

# The formats, and the flags that say something of each.
_OF_FORMAT = {
    "depth-png": ("unit", "counts", "measure", "scene_unit", "intrinsics", "confidence"),
    "monosdf": ("axes",),
    "normals": ("axes", "frame"),
}

_EXAMPLES = """\
examples:
  nsr prior import data/mug mug/depth --format depth-png --unit mm --scene_unit mm
  nsr prior import data/mug mug/depth --format depth-png --unit m --counts 5000 --intrinsics mug/depth_camera.json \\
      --scene_unit m
  nsr prior import data/mug mug/omnidata --format monosdf
  nsr prior import data/mug mug/normals --format normals --axes opengl

Files are paired with the views by the names of the images, or in sorted order where no name fits.
docs/priors_in_reconstruction.md says what each format is taken to mean.
"""


def add_import(actions: argparse._SubParsersAction) -> None:
    parser = actions.add_parser(
        "import",
        help="take depth or normals of a sensor or another program",
        description="Write prior bundles of a scene's views from another program's files, checked against its cameras; "
        "a bundle that is there already gets the new maps beside its own.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scene", help="scene folder")
    parser.add_argument("source", type=Path, help="folder of the files")
    parser.add_argument(
        "--format",
        required=True,
        choices=tuple(_OF_FORMAT),
        help="depth-png: 16-bit pictures of a depth sensor; monosdf: NAME_depth.npy and NAME_normal.npy; normals: png "
        "or npy files of photometric stereo",
    )
    parser.add_argument("--output", type=Path, help="folder of the bundles (default: priors, in the scene's)")
    parser.add_argument("--cam_file", help="another camera file than cameras.npz")
    depth = parser.add_argument_group("depth-png")
    depth.add_argument(
        "--unit", choices=("mm", "m", "scene"), help="of the depths; scene: world units of the scene's cameras"
    )
    depth.add_argument("--counts", type=positive_number, help="stored counts of one unit (default: 1)")
    depth.add_argument(
        "--measure", choices=("z", "ray"), help="along the optical axis, or along the ray (default: z)"
    )
    depth.add_argument(
        "--scene_unit",
        metavar="mm|m|METRES",
        help="what a world unit of the scene's cameras is; needed with --unit mm or m",
    )
    depth.add_argument(
        "--intrinsics", type=Path, help="of the depth camera, JSON or text, where they are not the pictures' own"
    )
    depth.add_argument("--confidence", type=Path, help="folder of 8-bit pictures, white where the sensor is sure")
    normals = parser.add_argument_group("monosdf, normals")
    normals.add_argument(
        "--axes",
        choices=("opencv", "opengl"),
        help="of the camera: x right, y down, z forward, or x right, y up, z backward (default: opencv)",
    )
    normals.add_argument("--frame", choices=("camera", "world"), help="of --format normals (default: camera)")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from nsr.priors.importing.import_bundles import import_bundles
    from nsr.priors.loading import PRIOR_FOLDER
    from nsr.scenes.idr_folder import load_scene
    from nsr.scenes.locate import resolve_scene_folder

    reader = _reader(arguments)
    folder = resolve_scene_folder(arguments.scene)
    scene = load_scene(folder, cam_file=arguments.cam_file, heldout_every=0)
    output = arguments.output or folder / PRIOR_FOLDER
    written, missing = import_bundles(scene, reader, output)
    print(f"bundles: {len(written)} views in {output}")
    if missing:
        print(f"nothing for {len(missing)} of {len(scene)} views: {', '.join(missing)}")
    return 0


def _reader(arguments: argparse.Namespace):
    from nsr.errors import PriorError
    from nsr.priors.bundle import METRIC
    from nsr.priors.bundle_file import DepthConvention, DirectionConvention
    from nsr.priors.importing.formats import DepthPictures, MonocularArrays, NormalMaps

    for name in sorted({name for names in _OF_FORMAT.values() for name in names} - set(_OF_FORMAT[arguments.format])):
        if getattr(arguments, name) is not None:
            raise PriorError(f"--{name} says nothing of --format {arguments.format}: leave it out")
    axes = arguments.axes or "opencv"
    if arguments.format == "monosdf":
        return MonocularArrays(arguments.source, axes)
    if arguments.format == "normals":
        return NormalMaps(arguments.source, DirectionConvention(arguments.frame or "camera", axes))
    if arguments.unit is None:
        raise PriorError("--format depth-png needs --unit: mm, m or scene")
    convention = DepthConvention(METRIC, arguments.unit, arguments.measure or "z", metres_of(arguments.scene_unit))
    counts = arguments.counts or 1.0
    return DepthPictures(arguments.source, convention, counts, arguments.intrinsics, arguments.confidence)


def metres_of(scene_unit: str | None) -> float | None:
    """Metres of a world unit."""
    from nsr.errors import PriorError
    from nsr.priors.bundle_file import METRES

    if scene_unit is None:
        return None
    try:
        metres = METRES[scene_unit] if scene_unit in METRES else float(scene_unit)
    except ValueError:
        metres = 0.0
    if not 0 < metres < float("inf"):
        raise PriorError(f"--scene_unit is {scene_unit!r}; it must be mm, m or a number of metres above 0")
    return metres
