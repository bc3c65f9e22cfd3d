"""``nsr train`` and IDR's ``exp_runner.py``: a scene folder or a conf to a trained run."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nsr.cli.arguments import add_device, add_run_choice, positive_int, positive_number
from nsr.cli.locations import find_conf, output_folder
from nsr.config.reader import dump_config, load_config, parse_assignments
from nsr.config.schema import Config
from nsr.errors import CheckpointError, ConfigError
from nsr.training.run_folder import LATEST, RUN_CONF, create_run_folder, find_checkpoint, find_run

if TYPE_CHECKING:
    import torch

    from nsr.scenes.scene import Scene

DEFAULT_CONF = "confs/default.conf"
IDR_EPOCHS = 2000

logger = logging.getLogger("nsr")

_EXAMPLES = """\
examples:
  nsr train photos/mug --minutes 4                     four minutes with confs/default.conf
  nsr train --conf confs/idr.conf --scan_id 65         IDR as published, on DTU/scan65 below the data root
  nsr train photos/mug --steps 3000 --set loss.mask_weight=10
  nsr train photos/mug --minutes 4 --is_continue       go on from its newest checkpoint, with the same schedules

A conf's data_dir is looked for here, below the folder in the environment variable NSR_DATA, and below data/.
A run is written to exps/<expname>_<scan>/<timestamp>/; 'nsr eval' reads it.
exit codes: 0 trained, 2 something you can put right (one line says what), 130 stopped by Ctrl-C.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "train",
        help="reconstruct a scene",
        description="Reconstruct the object of a scene folder, or of the scene that a conf names.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", help="scene folder: image/, mask/ and cameras.npz (default: the conf's)")
    _add_options(parser)
    parser.set_defaults(run=run)


def script_parser() -> argparse.ArgumentParser:
    """The parser of IDR's ``exp_runner.py``."""
    parser = argparse.ArgumentParser(
        prog="exp_runner.py",
        description="Train on the scene that a conf names.",
        epilog="example: python training/exp_runner.py --conf ../confs/default.conf --scan_id 65",
    )
    _add_options(parser)
    parser.set_defaults(folder=None)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--conf", default=DEFAULT_CONF, help=f"conf file (default: {DEFAULT_CONF})")
    parser.add_argument("--expname", default="", help="added to the conf's experiment name")
    parser.add_argument("--scan_id", type=int, default=-1, help="the scan below data_dir (default: the conf's)")
    parser.add_argument("--data_dir", help="the folder of scans, or the scene itself (default: the conf's)")
    parser.add_argument("--exps_folder", default="exps", help="where runs go (default: exps)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=positive_int, help="how long to train; every schedule is a fraction of it")
    length.add_argument("--minutes", type=positive_number, help="the same by the clock")
    length.add_argument(
        "--nepoch", type=positive_int, help=f"the same in passes over the views, as in IDR (which takes {IDR_EPOCHS})"
    )
    parser.add_argument(
        "--batch_size", type=positive_int, default=1,
        help="images' worth of pixels in one step (default: 1); more makes steps larger and fewer",
    )
    parser.add_argument("--seed", type=int, help="of everything random (default: the conf's)")
    parser.add_argument(
        "--train_cameras", action="store_true",
        help="refine the cameras too, from cameras_linear_init.npz where the scene has it",
    )
    parser.add_argument("--is_continue", action="store_true", help="go on from an earlier run of this experiment")
    add_run_choice(parser)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="any conf key, as in train.num_pixels=512"
    )
    parser.add_argument(
        "--validation_slope_print", action="store_true",
        help="print, at the end, how fast the loss still falls, and draw its curve into plots/loss.html",
    )
    add_device(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train as the parsed arguments say; prints where the checkpoint is."""
    if not arguments.is_continue and (arguments.timestamp, arguments.checkpoint) != (LATEST, LATEST):
        raise ConfigError("--timestamp and --checkpoint say what to continue from: they need --is_continue")
    config = load_config(find_conf(arguments.conf), {**parse_assignments(arguments.set), **_overrides(arguments)})
    config.train.expname += arguments.expname

    from nsr.cli.device import choose_device  # torch takes seconds to import: wrong arguments do not wait for it

    device = choose_device(arguments.gpu)
    return _train(config, _checked_scene(config, arguments.train_cameras), device, arguments)


def _train(config: Config, scene: Scene, device: torch.device, arguments: argparse.Namespace) -> int:
    from nsr.training.trainer import Trainer

    _set_length(config, arguments, len(scene.train_views))
    experiment = output_folder(arguments.exps_folder) / experiment_name(config, scene.name)
    resume = _find_resume(experiment, arguments)
    if resume is not None:
        _warn_of_differences(config, resume)
    trainer = Trainer(config, scene, device, resume)
    trainer.clock.start()  # what cannot be built, or in no time, leaves no run folder behind
    run_folder = create_run_folder(experiment)
    dump_config(config, run_folder / RUN_CONF)
    logger.info("%s: %d views, %d of them held out; writing to %s",
                scene.name, len(scene), len(scene.heldout_views), run_folder)
    checkpoint = trainer.run(run_folder)
    print(f"checkpoint: {checkpoint}")
    if arguments.validation_slope_print:
        from nsr.training.loss_curve import write_loss_curve

        print(write_loss_curve(run_folder, f"{experiment.name}, {config.model.implicit_network.encoding.name}"))
    print(f"evaluate:   nsr eval {run_folder}")
    return 0


def experiment_name(config: Config, scene_name: str) -> str:
    """``<expname>_<scan>``, or ``<expname>_<folder name>`` for a scene that has no scan number."""
    return f"{config.train.expname}_{config.dataset.scan_id if config.dataset.scan_id >= 0 else scene_name}"


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the flags say, as conf keys; flags that were not given leave the conf alone."""
    given: dict[str, Any] = {}
    if arguments.folder is not None:
        if arguments.data_dir is not None or arguments.scan_id >= 0:
            raise ConfigError("give a scene folder, or --data_dir and --scan_id, not both")
        given.update({"dataset.data_dir": arguments.folder, "dataset.scan_id": -1})
    if arguments.data_dir is not None:
        given["dataset.data_dir"] = arguments.data_dir
    if arguments.scan_id >= 0:
        given["dataset.scan_id"] = arguments.scan_id
    if arguments.seed is not None:
        given["train.seed"] = arguments.seed
    if arguments.train_cameras:
        given["train.train_cameras"] = True
    if arguments.steps is not None or arguments.nepoch is not None:
        given["train.minutes"] = 0.0
    if arguments.minutes is not None:
        given["train.minutes"] = arguments.minutes
    return given


def _checked_scene(config: Config, train_cameras: bool) -> Scene:
    """Find, check and load the scene; ``config`` keeps its absolute place, so that the run can be evaluated from
    any folder."""
    from nsr.scenes.check import check_scene
    from nsr.scenes.judgements import FEW_VIEWS, few_views
    from nsr.scenes.locate import resolve_scene_folder, scene_from_config
    from nsr.scenes.perturb import ROUGH_CAMERA_FILE

    dataset = config.dataset
    # not resolved: a scan that is a link keeps its name
    folder = Path(os.path.abspath(resolve_scene_folder(dataset.data_dir, dataset.scan_id)))
    dataset.data_dir = str(folder.parent if dataset.scan_id >= 0 else folder)
    if train_cameras and dataset.cam_file is None and (folder / ROUGH_CAMERA_FILE).is_file():
        dataset.cam_file = ROUGH_CAMERA_FILE
    report = check_scene(folder, cam_file=dataset.cam_file)
    report.raise_errors()
    for warning in report.warnings:
        logger.warning("%s", warning)
    scene = scene_from_config(dataset)
    if 0 < len(scene.train_views) < FEW_VIEWS <= len(scene):
        count = len(scene.train_views)
        logger.warning("training looks at %d of %d views; %s", count, len(scene), few_views(count))
    return scene


def _set_length(config: Config, arguments: argparse.Namespace, views: int) -> None:
    """Steps and pixels per step from epochs and images per step; the number of pixels seen in all stays the same."""
    batch = arguments.batch_size
    config.train.num_pixels *= batch
    if arguments.steps is not None:
        config.train.steps = arguments.steps
    elif arguments.nepoch is not None:
        config.train.steps = math.ceil(arguments.nepoch * views / batch)
    else:
        config.train.steps = math.ceil(config.train.steps / batch)


def _find_resume(experiment: Path, arguments: argparse.Namespace) -> Path | None:
    """The checkpoint to continue from; None for a fresh start."""
    if not arguments.is_continue:
        return None
    try:
        run = find_run(experiment, arguments.timestamp)
    except CheckpointError as error:
        if arguments.timestamp != LATEST:
            raise
        logger.warning("nothing to continue from, starting anew: %s", error)
        return None
    return find_checkpoint(run, arguments.checkpoint)


def _warn_of_differences(config: Config, checkpoint: Path) -> None:
    """A run continues bit for bit only under the conf it began with; say where the two differ."""
    saved = checkpoint.parents[1] / RUN_CONF
    if not saved.is_file():
        return
    old, new = (dict(_leaves(dataclasses.asdict(conf))) for conf in (load_config(saved), config))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            logger.warning("the run that this one continues had %s = %s, now it is %s", key, old.get(key), new.get(key))


def _leaves(tree: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
