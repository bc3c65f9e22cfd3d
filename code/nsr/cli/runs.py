"""A run and its scene, as the commands that look at finished runs ask for them."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.cli.arguments import add_device, add_run_choice
from nsr.cli.locations import find_conf, output_folder
from nsr.config.reader import load_config
from nsr.config.schema import Config, DatasetConfig
from nsr.errors import SceneError
from nsr.training.run_folder import RUN_CONF, find_run

if TYPE_CHECKING:
    import torch

    from nsr.scenes.scene import Scene
    from nsr.training.run import Run

IDR_CONF = "confs/idr.conf"


def add_run(parser: argparse.ArgumentParser) -> None:
    """The run folder and how to choose in it, the scene's place, and the device."""
    parser.add_argument("folder", metavar="RUN", help="a run folder, an experiment, or a folder of experiments")
    add_data_dir(parser)
    add_run_choice(parser)
    add_device(parser)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data_dir", help="where the scene is now, if it has moved since training")


def chosen_run(arguments: argparse.Namespace, *, begun: bool = False) -> Path:
    """The run folder that ``add_run``'s arguments name; ``begun``: see ``find_run``."""
    return find_run(existing_folder(arguments.folder), arguments.timestamp, begun=begun)


def existing_folder(name: str) -> Path:
    """A run folder given from the current folder, or from where runs are written."""
    here = Path(name).expanduser()
    return here if here.is_dir() else output_folder(name)


def scene_of(dataset: DatasetConfig, data_dir: str | None) -> Scene:
    """The scene that a run was trained on, or the one at ``data_dir``.

    Raises:
        SceneError: it is not there any more, or cannot be loaded.
    """
    from nsr.scenes.locate import scene_from_config

    if data_dir is not None:
        dataset = dataclasses.replace(dataset, data_dir=data_dir)
    elif Path(dataset.data_dir).is_absolute() and not Path(dataset.data_dir).is_dir():
        raise SceneError(f"{dataset.data_dir}: the run's scene is not there any more; say where it is with --data_dir")
    return scene_from_config(dataset)


def load_run_and_scene(
    run_folder: Path,
    checkpoint: Path,
    device: torch.device,
    data_dir: str | None,
    *,
    config: Config | None = None,
    needs_scene: bool = True,
) -> tuple[Run, Scene | None]:
    """A run, ours or one of IDR's, and its scene.

    Args:
        data_dir: where the scene is now; None: where it was.
        config: of a run of IDR that has no conf of its own; None: ``confs/idr.conf`` with the scan that the
            experiment's name ends in.
        needs_scene: False leaves the scene of our own runs out (None); IDR's need theirs for the cameras.

    Raises:
        NsrError: checkpoint, conf or scene cannot be read, or do not belong together.
    """
    from nsr.training.idr_checkpoint import is_idr_checkpoint, load_idr_run
    from nsr.training.run import load_run, require_scene_of

    if not is_idr_checkpoint(checkpoint):
        run = load_run(run_folder, checkpoint, device)
        scene = scene_of(run.config.dataset, data_dir) if needs_scene else None
        if scene is not None:
            require_scene_of(run, scene)
        return run, scene
    config = config or _conf_of_idr_run(run_folder)
    scene = scene_of(config.dataset, data_dir)
    return load_idr_run(run_folder, checkpoint, config, scene.cameras, device), scene


def _conf_of_idr_run(run_folder: Path) -> Config:
    own = run_folder / RUN_CONF
    if own.is_file():
        return load_config(own)
    config = load_config(find_conf(IDR_CONF))
    scan = re.search(r"_(\d+)$", run_folder.parent.name)
    config.dataset.scan_id = int(scan[1]) if scan else -1
    return config
