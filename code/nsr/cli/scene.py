"""``nsr scene make|sense|import|board|check|perturb|mask|downscale``: folders of images, masks and cameras."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from nsr.cli.arguments import number_from_zero, positive_int, positive_number
from nsr.cli.locations import find_conf, output_folder
from nsr.cli.scene_import import add_board, add_import
from nsr.cli.scene_sense import add_sense

_EXAMPLES = """\
examples:
  nsr scene make data/default                        the default scene: a carved stone, 32 views of 256x256
  nsr scene make data/cow --shape cow.obj --texture own --views 48
  nsr scene sense data/default --stereo              what a depth camera would have measured of it
  nsr scene import mug/ data/mug                     of your photographs, or of another program's cameras
  nsr scene check photos/mug                         exit code 0 (perhaps with warnings) or 1 (errors)
  nsr scene perturb data/default --degrees 2         writes cameras_linear_init.npz beside cameras.npz
  nsr scene make data/spot --conf confs/synthetic/spot_textured.conf    a recipe; its mesh is found below NSR_DATA
  nsr scene mask photos/mug                          masks from photographs before a plain background
  nsr scene downscale photos/mug photos/small --factor 2
"""

# The fields of a SyntheticSpec, each a flag of its own: type, what it is.  What is not given keeps the spec's default.
SPEC_FLAGS = {
    "shape": (str, "carved_stone, bowl, torus, figure, pierced_box, rough_sphere, sphere, or a triangle mesh file"),
    "mesh_up": (str, "axis of a mesh file that points up: x, y or z"),
    "views": (positive_int, "number of views"),
    "height": (positive_int, "image height in pixels"),
    "width": (positive_int, "image width in pixels"),
    "field_of_view": (positive_number, "horizontal, degrees"),
    "layout": (str, "where the cameras stand: sphere, ring or path"),
    "elevation": (float, "of the ring, or of the path's two ends, degrees"),
    "distance": (positive_number, "of the cameras from the object's centre; its radius is about 0.8"),
    "texture": (str, "procedural, own (a mesh file's), own_times_procedural or flat"),
    "texture_wavelength": (positive_number, "of the procedural texture's finest waves"),
    "texture_contrast": (float, "of the procedural texture's fine pattern, 0 to 1"),
    "specular": (float, "strength of the highlights; 0 is matt"),
    "shininess": (positive_number, "exponent of the highlights"),
    "ambient": (float, "mean shading by the surroundings"),
    "point_lights": (int, "number of point lights"),
    "point_intensity": (float, "shading by each of them on a surface that faces it"),
    "lamp": (float, "shading, by a lamp that each camera carries, of a surface that faces it; 0 is none"),
    "background": (float, "grey of what sees nothing, 0 to 1"),
    "supersampling": (positive_int, "rays along a pixel's side"),
    "world_scale": (positive_number, "world units per normalised unit"),
    "seed": (int, "of texture and light"),
}
SPEC_SWITCHES = {
    "shadows": "the object blocks the point lights",
    "room": "put the object into a textured room; every mask is then all white",
}


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "scene",
        help="make, import, check, perturb or mask a scene folder",
        description="Scene folders: image/, mask/ and cameras.npz.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tools = parser.add_subparsers(title="tools", metavar="TOOL", required=True)
    _add_make(tools)
    add_sense(tools)
    add_import(tools)
    add_board(tools)
    _add_check(tools)
    _add_perturb(tools)
    _add_mask(tools)
    _add_downscale(tools)


def _add_make(tools: argparse._SubParsersAction) -> None:
    make = tools.add_parser(
        "make",
        help="make a synthetic scene with exact ground truth",
        description="Make a synthetic scene: images, masks, cameras, and in ground_truth/ the true surface and, per "
        "view, depth, normals, albedo and shading. Without options: the default scene.",
    )
    make.add_argument("folder", help="where to write it; must not hold a scene yet")
    make.add_argument(
        "--conf", help="a recipe, as in confs/synthetic/; other options change it (default: the default scene)"
    )
    for name, (kind, text) in SPEC_FLAGS.items():
        make.add_argument(f"--{name}", type=kind, default=None, help=text)
    for name, text in SPEC_SWITCHES.items():
        make.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text)
    make.add_argument(
        "--lamp_place", type=float, nargs=3, metavar=("X", "Y", "Z"), default=None,
        help="of the lamp in the camera's frame (x right, y down, z forward), as parts of the distance",
    )  # fmt: skip
    make.add_argument("--no_relief", dest="relief", action="store_false", default=None, help="only the smooth body")
    make.set_defaults(run=_run_make)


def _run_make(arguments: argparse.Namespace) -> int:
    from nsr.scenes.synthetic import DEFAULT_SPEC, make_scene
    from nsr.scenes.synthetic.recipe import load_recipe

    recipe = load_recipe(find_conf(arguments.conf)) if arguments.conf else DEFAULT_SPEC
    names = [field.name for field in dataclasses.fields(DEFAULT_SPEC)]
    given = {name: getattr(arguments, name, None) for name in names}
    given["lamp_place"] = None if arguments.lamp_place is None else tuple(arguments.lamp_place)
    spec = dataclasses.replace(recipe, **{name: value for name, value in given.items() if value is not None})
    folder = output_folder(arguments.folder)
    make_scene(folder, spec)
    print(f"scene: {folder} ({spec.views} views of {spec.width}x{spec.height})")
    return 0


def _add_check(tools: argparse._SubParsersAction) -> None:
    check = tools.add_parser(
        "check",
        help="what is wrong with a scene folder",
        description="Report everything that would spoil a training: pictures, masks, cameras, the unit sphere. "
        "Exit code 0 (perhaps with warnings), 1 with errors.",
    )
    check.add_argument("folder")
    check.add_argument("--cam_file", help="another camera file of the folder than cameras.npz")
    check.add_argument(
        "--fast", action="store_true", help="leave out what takes longer: visual hull, other conventions, features"
    )
    check.add_argument(
        "--page",
        nargs="?",
        const="",
        metavar="FILE",
        help="write an HTML page with the cameras in 3D and every mask's outline (default: check.html in the folder)",
    )
    check.set_defaults(run=_run_check)


def _run_check(arguments: argparse.Namespace) -> int:
    from nsr.errors import SceneError
    from nsr.scenes.check import check_scene
    from nsr.scenes.check_page import write_check_page
    from nsr.scenes.explain import explain_scene

    folder = Path(arguments.folder)
    if arguments.fast and arguments.page is not None:
        raise SceneError("--page shows what --fast leaves out: give one of them")
    report = check_scene(folder, cam_file=arguments.cam_file)
    scene = None if arguments.fast else explain_scene(report, folder, arguments.cam_file)
    print(report.format())
    if arguments.page is not None and scene is not None:
        page = Path(arguments.page) if arguments.page else folder / "check.html"
        write_check_page(page, scene, report)
        print(f"page: {page}")
    return 1 if report.errors else 0


def _add_perturb(tools: argparse._SubParsersAction) -> None:
    perturb = tools.add_parser(
        "perturb",
        help="write rough cameras beside the exact ones",
        description="Turn and move every camera at random and write the result as another camera file (for a conf's "
        "cam_file, or --train_cameras).",
    )
    perturb.add_argument("folder")
    perturb.add_argument("--degrees", type=number_from_zero, default=1.0, help="rotation (default: 1)")
    perturb.add_argument(
        "--translation", type=number_from_zero, default=0.01, help="shift as a fraction of the distance (default: 0.01)"
    )
    perturb.add_argument("--seed", type=int, default=0)
    perturb.add_argument("--name", help="of the file (default: cameras_linear_init.npz)")
    perturb.set_defaults(run=_run_perturb)


def _run_perturb(arguments: argparse.Namespace) -> int:
    from nsr.scenes.perturb import ROUGH_CAMERA_FILE, write_perturbed_cameras

    name = arguments.name or ROUGH_CAMERA_FILE
    path = write_perturbed_cameras(
        arguments.folder, arguments.degrees, arguments.translation, arguments.seed, name
    )
    print(f"cameras: {path}")
    return 0


def _add_mask(tools: argparse._SubParsersAction) -> None:
    mask = tools.add_parser(
        "mask",
        help="make masks from photographs before a plain background",
        description="Separate the object from a plain background by brightness (or by the pictures' alpha channel) "
        "and write a mask for every picture.",
    )
    mask.add_argument("folder", help="a scene folder; its image/ is read and its mask/ is written")
    mask.add_argument("--images", help="read this folder of pictures instead")
    mask.add_argument("--masks", help="write to this folder instead")
    mask.add_argument(
        "--threshold",
        type=number_from_zero,
        help="the object is brighter than this, 0 to 1 (default: chosen for each picture)",
    )
    mask.add_argument("--invert", action="store_true", help="the object is the darker part")
    mask.add_argument("--keep_all_parts", action="store_true", help="not the largest connected part only")
    mask.add_argument("--keep_holes", action="store_true", help="for objects that one can see through")
    mask.set_defaults(run=_run_mask)


def _run_mask(arguments: argparse.Namespace) -> int:
    from nsr.scenes.idr_folder import IMAGE_FOLDER, MASK_FOLDER
    from nsr.scenes.masks import make_masks

    folder = Path(arguments.folder)
    masks = make_masks(
        arguments.images or folder / IMAGE_FOLDER,
        arguments.masks or folder / MASK_FOLDER,
        threshold=arguments.threshold,
        invert=arguments.invert,
        largest_component=not arguments.keep_all_parts,
        fill_holes=not arguments.keep_holes,
    )
    print(f"masks: {len(masks)} in {masks[0].parent}")
    return 0


def _add_downscale(tools: argparse._SubParsersAction) -> None:
    downscale = tools.add_parser(
        "downscale",
        help="copy a scene with smaller pictures",
        description="Write a copy of a scene with smaller images and masks; the cameras' intrinsics follow.",
    )
    downscale.add_argument("source")
    downscale.add_argument("target", help="a new or empty folder")
    how = downscale.add_mutually_exclusive_group(required=True)
    how.add_argument("--factor", type=positive_number, help="divide heights and widths by this")
    how.add_argument("--size", type=positive_int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of every picture")
    downscale.set_defaults(run=_run_downscale)


def _run_downscale(arguments: argparse.Namespace) -> int:
    from nsr.scenes.downscale import downscale_scene

    size = tuple(arguments.size) if arguments.size else None
    downscale_scene(arguments.source, arguments.target, factor=arguments.factor, size=size)
    print(f"scene: {arguments.target}")
    return 0
