"""``nsr swap`` and IDR's ``eval_disentanglement.py``: the geometry of one run in the appearance of another."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import add_device, add_run_choice, positive_int, positive_number
from nsr.cli.locations import find_conf, output_folder
from nsr.cli.runs import existing_folder, load_run_and_scene
from nsr.cli.train import DEFAULT_CONF
from nsr.config.reader import load_config
from nsr.config.schema import Config
from nsr.errors import NsrError
from nsr.training.run_folder import LATEST, find_checkpoint, find_run

OUTPUT_FOLDER = "evals_disentanglement"  # beside the experiments, and the names in it, as in IDR
FRAME_FOLDER = "novel_views_rendering"
FILM = "novel_views.mp4"

_EXAMPLES = """\
examples:
  nsr swap exps/idr_65 exps/idr_110                           65's shape in 110's colours
  nsr swap exps/default_mug exps/default_cup --adapt          fields with position encodings of their own
  nsr swap exps/idr_65 exps/idr_110 --views 11 16 34 28 --frames 60 --alpha
  nsr swap exps/idr_65 exps/idr_110 --path my_cameras.npz     a camera (world_mat_i, scale_mat_i) per frame

Writes evals_disentanglement/<geometry>__<appearance>/: novel_views_rendering/eval_NNN.png and novel_views.mp4.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "swap",
        help="the geometry of one run in the appearance of another",
        description="Render the surface of one run with the radiance field of another, along a camera path.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("geometry", help="run folder or experiment of the surface")
    parser.add_argument("appearance", help="run folder or experiment of the colours")
    parser.add_argument("--output", help="where to write (default: evals_disentanglement/ beside exps)")
    _add_options(parser)
    add_device(parser)
    parser.set_defaults(run=run)


def script_parser() -> argparse.ArgumentParser:
    """The parser of IDR's ``eval_disentanglement.py``."""
    parser = argparse.ArgumentParser(
        prog="eval_disentanglement.py",
        description="Render one scan's geometry in another's appearance, of the experiments that a conf names.",
        epilog="example: python evaluation/eval_disentanglement.py --conf ../confs/idr.conf --geometry_id 65 "
        "--appearance_id 110",
    )
    parser.add_argument("--conf", default=DEFAULT_CONF, help=f"conf file (default: {DEFAULT_CONF})")
    parser.add_argument("--expname", default="", help="what was added to the conf's experiment name")
    parser.add_argument("--exps_folder", default="exps", help="where the runs are (default: exps)")
    parser.add_argument("--geometry_id", type=int, default=65, help="scan of the surface (default: 65)")
    parser.add_argument("--appearance_id", type=int, default=110, help="scan of the colours (default: 110)")
    add_run_choice(parser)
    _add_options(parser)
    add_device(parser)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data_dir", help="where the geometry's scene is now, if it has moved since training")
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--views", type=int, nargs="+", metavar="VIEW", help="views that the camera passes (default: four)"
    )
    way.add_argument("--path", help="npz with a camera per frame")
    parser.add_argument("--frames", type=positive_int, default=30, help="of the way through the views (default: 30)")
    parser.add_argument("--fps", type=positive_number, default=15.0, help="of the film (default: 15)")
    parser.add_argument("--size", type=positive_int, help="longer side of the frames (default: the first view's)")
    parser.add_argument("--alpha", action="store_true", help="transparent background in the frames")
    parser.add_argument("--no_film", dest="film", action="store_false", help="frames only")
    parser.add_argument(
        "--adapt",
        type=positive_int,
        nargs="?",
        const=300,
        metavar="STEPS",
        help="teach the appearance to a field that any surface can wear, in so many steps (default: 300)",
    )


def run(arguments: argparse.Namespace) -> int:
    """``nsr swap GEOMETRY APPEARANCE``."""
    folders = [find_run(existing_folder(name), LATEST) for name in (arguments.geometry, arguments.appearance)]
    names = [folder.parent.name for folder in folders]
    output = (
        Path(arguments.output).resolve()
        if arguments.output
        else folders[0].parents[2] / OUTPUT_FOLDER / "__".join(names)
    )
    return _swap([(folder, find_checkpoint(folder)) for folder in folders], [None, None], output, arguments)


def run_script(arguments: argparse.Namespace) -> int:
    """IDR's way: the conf names the experiment, the identifiers its scans."""
    experiments = output_folder(arguments.exps_folder)
    found, configs = [], []
    for scan in (arguments.geometry_id, arguments.appearance_id):
        config = load_config(find_conf(arguments.conf))
        config.dataset.scan_id = scan
        name = config.train.expname + arguments.expname
        folder = find_run(experiments / f"{name}_{scan}", arguments.timestamp)
        found.append((folder, find_checkpoint(folder, arguments.checkpoint)))
        configs.append(config)
    output = experiments.parent / OUTPUT_FOLDER / f"{name}_{arguments.geometry_id}_{arguments.appearance_id}"
    return _swap(found, configs, output, arguments)


def _swap(
    runs: list[tuple[Path, Path]], configs: list[Config | None], output: Path, arguments: argparse.Namespace
) -> int:
    # torch takes seconds to import: a run that is not there is reported without it
    from nsr.cli.device import choose_device
    from nsr.evaluation.camera_path import default_views, path_from_file, path_through_views, resized
    from nsr.evaluation.disentanglement import (
        adapted_radiance,
        located_surface,
        swap,
        swap_problem,
        swapped_renderer,
    )
    from nsr.evaluation.frames import render_frames, write_film
    from nsr.fields.encoding import make_encoding
    from nsr.meshing.output import writing_to

    device = choose_device(arguments.gpu)
    geometry, scene = load_run_and_scene(*runs[0], device, arguments.data_dir, config=configs[0])
    appearance, _ = load_run_and_scene(*runs[1], device, None, config=configs[1], needs_scene=False)
    if arguments.path:
        path, first = path_from_file(arguments.path, scene), 0
    else:
        views = arguments.views or default_views(scene)
        path, first = path_through_views(geometry.cameras, views, arguments.frames), views[0]
    size = tuple(scene.masks[first].shape)
    if arguments.size:
        path, size = resized(path, size, arguments.size)
    problem = swap_problem(geometry.renderer, appearance.renderer)
    if problem and arguments.adapt is None:
        raise NsrError(f"this appearance cannot be swapped in: {problem} (--adapt does it here)")
    located_surface(geometry.renderer)  # frames of nothing are not worth rendering
    with writing_to(output, "the frames"):
        if arguments.adapt is not None:
            network = appearance.config.model.rendering_network
            radiance, error = adapted_radiance(
                appearance.renderer, network, make_encoding(network.view_encoding).to(device), steps=arguments.adapt
            )
            print(
                f"adapted in {arguments.adapt} steps: its colours are {error:.3f} (of 1) from the original's on average"
            )
            renderer = swapped_renderer(geometry.renderer, radiance)
        else:
            renderer = swap(geometry.renderer, appearance.renderer)
        frames = render_frames(renderer, path, size, output / FRAME_FOLDER, alpha=arguments.alpha)
        print(f"frames: {output / FRAME_FOLDER}")
        if arguments.film:
            write_film(frames, output / FILM, arguments.fps)
            print(f"film:   {output / FILM}")
    return 0
