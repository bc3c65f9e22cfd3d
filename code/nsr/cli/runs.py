"""A run and its scene, as the commands that look at finished runs ask for them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from nsr.cli.arguments import add_device, add_run_choice
from nsr.cli.locations import output_folder
from nsr.config.schema import DatasetConfig
from nsr.errors import SceneError
from nsr.training.run_folder import find_run

if TYPE_CHECKING:
    from nsr.scenes.scene import Scene


def add_run(parser: argparse.ArgumentParser) -> None:
    """The run folder and how to choose in it, the scene's place, and the device."""
    parser.add_argument("folder", metavar="RUN", help="a run folder, an experiment, or a folder of experiments")
    add_data_dir(parser)
    add_run_choice(parser)
    add_device(parser)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data_dir", help="where the scene is now, if it has moved since training")


def chosen_run(arguments: argparse.Namespace) -> Path:
    """The run folder that ``add_run``'s arguments name."""
    return find_run(existing_folder(arguments.folder), arguments.timestamp)


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
