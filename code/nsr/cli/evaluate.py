"""``nsr eval`` and IDR's ``eval.py``: mesh, renders, metrics and a report of a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import add_device, add_run_choice, positive_int
from nsr.cli.locations import find_conf, output_folder
from nsr.cli.runs import add_data_dir, add_run, chosen_run, load_run_and_scene
from nsr.cli.train import DEFAULT_CONF, experiment_name
from nsr.config.reader import load_config
from nsr.config.schema import Config
from nsr.errors import NsrError
from nsr.training.run_folder import EVALUATION_FOLDER, find_checkpoint, find_run

EVALS_FOLDER = "evals"  # beside the experiments, as in IDR

_EXAMPLES = """\
examples:
  nsr eval exps/default_mug                            the newest run of that experiment
  nsr eval exps/default_mug/2026_01_31_12_00_00 --checkpoint 500
  nsr eval exps --resolution 256 --no_rendering        the newest run of all, a coarser mesh, no pictures

Writes into RUN/evaluation: the mesh in world coordinates, renders of every view, metrics.json, a CSV with a line per
view and report.html.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "eval",
        help="mesh, renders, metrics and a report of a trained run",
        description="Evaluate a run: extract its mesh, render its views, measure both, write a report.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run(parser)
    parser.add_argument("--output", help="where to write (default: RUN/evaluation)")
    parser.add_argument(
        "--no_rendering", dest="eval_rendering", action="store_false", help="the mesh and its metrics only"
    )
    parser.add_argument(
        "--heldout_only", action="store_true", help="of the views, render and measure the held-out ones alone: quicker"
    )
    _add_options(parser)
    parser.set_defaults(run=run)


def script_parser() -> argparse.ArgumentParser:
    """The parser of IDR's ``eval.py``."""
    parser = argparse.ArgumentParser(
        prog="eval.py",
        description="Evaluate a run of the experiment that a conf and a scan name; writes into evals/.",
        epilog="example: python evaluation/eval.py --conf ../confs/default.conf --scan_id 65 --eval_rendering",
    )
    parser.add_argument("--conf", default=DEFAULT_CONF, help=f"conf file (default: {DEFAULT_CONF})")
    parser.add_argument("--expname", default="", help="what was added to the conf's experiment name")
    parser.add_argument(
        "--exps_folder", default="exps", help="where the runs are (default: exps); IDR's published ones: trained_models"
    )
    parser.add_argument("--scan_id", type=int, default=-1, help="the scan (default: the conf's)")
    parser.add_argument("--eval_rendering", action="store_true", help="render every view and measure the renders")
    add_data_dir(parser)
    add_run_choice(parser)
    add_device(parser)
    _add_options(parser)
    parser.set_defaults(heldout_only=False)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resolution", type=positive_int, default=512, help="of the mesh, along its shortest axis (default: 512)"
    )
    parser.add_argument(
        "--is_uniform_grid",
        action="store_true",
        help="extract the mesh from the whole cube [-1, 1]^3 instead of the object's own aligned box",
    )
    parser.add_argument(
        "--eval_cameras", action="store_true",
        help="measure how far the cameras are from those of cameras.npz and move the mesh to their frame (runs that "
        "trained cameras always do)",
    )
    parser.add_argument(
        "--heldout_cameras",
        choices=("carried", "refined"),
        default="carried",
        help="in runs that trained cameras, those of held-out views are carried along with the training views' frame, "
        "or from there refined to their own photographs (default: carried)",
    )


def run(arguments: argparse.Namespace) -> int:
    """``nsr eval RUN``."""
    if arguments.heldout_only and not arguments.eval_rendering:
        raise NsrError("--heldout_only renders some of the views and --no_rendering none: give one of them")
    run_folder = chosen_run(arguments)
    output = Path(arguments.output).resolve() if arguments.output else run_folder / EVALUATION_FOLDER
    return _evaluate(run_folder, output, arguments)


def run_script(arguments: argparse.Namespace) -> int:
    """IDR's way: the conf and the scan name the experiment."""
    config = load_config(find_conf(arguments.conf))
    config.train.expname += arguments.expname
    if arguments.scan_id >= 0:
        config.dataset.scan_id = arguments.scan_id
    if arguments.data_dir is not None:
        config.dataset.data_dir = arguments.data_dir
    experiments = output_folder(arguments.exps_folder)
    name = experiment_name(config, Path(config.dataset.data_dir).name)
    run_folder = find_run(experiments / name, arguments.timestamp)
    return _evaluate(run_folder, experiments.parent / EVALS_FOLDER / name, arguments, config)


def _evaluate(run_folder: Path, output: Path, arguments: argparse.Namespace, config: Config | None = None) -> int:
    checkpoint = find_checkpoint(run_folder, arguments.checkpoint)

    # torch takes seconds to import: a run that is not there is reported without it
    from nsr.cli.device import choose_device
    from nsr.evaluation.evaluate import METRICS_FILE, evaluate_run
    from nsr.evaluation.views import SPLITS

    run, scene = load_run_and_scene(
        run_folder, checkpoint, choose_device(arguments.gpu), arguments.data_dir, config=config
    )
    splits = ("heldout",) if arguments.heldout_only else SPLITS
    metrics = evaluate_run(
        run,
        scene,
        output,
        splits=splits if arguments.eval_rendering else (),
        resolution=arguments.resolution,
        uniform_grid=arguments.is_uniform_grid,
        align_cameras=arguments.eval_cameras or run.config.train.train_cameras,
        held_out_cameras=arguments.heldout_cameras,
    )
    files = {**metrics["files"], "metrics": METRICS_FILE}
    for kind, name in files.items():
        print(f"{kind + ':':<9} {output / name}")
    return 0
