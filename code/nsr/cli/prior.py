"""``nsr prior``: prepare data for, train, test and export the shading and depth networks; and what priors buy."""

from __future__ import annotations

import argparse

from nsr.cli.arguments import add_device
from nsr.cli.locations import output_folder
from nsr.cli.prior_ablate import add_ablate, add_exact
from nsr.cli.prior_calibrate import add_calibrate
from nsr.cli.prior_export import add_scene_arguments, export_bundles
from nsr.cli.prior_import import add_import
from nsr.errors import NsrError
from nsr.priors.networks.common.family import COMMANDS, PREPARE, Family, families
from nsr.priors.networks.common.options import (
    add_export_arguments,
    add_prepare_arguments,
    add_test_arguments,
    add_train_arguments,
)

_EXAMPLES = """\
examples:
  nsr prior train {family}                        from scratch, on scenes that are made
  nsr prior train {family} --seconds 600 --name quick
  nsr prior train {family} --retrain              go on after an interruption
  nsr prior test {family}                         the newest run, or the checkpoint that ships
  nsr prior test {family} --data photos/frames    a folder of one's own

A run is written to exps/priors/FAMILY/NAME/.  docs/priors.md says what each family is for and what its files are.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    known = families()
    parser = commands.add_parser(
        "prior",
        help="shading and depth networks: train, test, export",
        description="Networks that turn what a camera or depth sensor sees into depth, normals, albedo and shading.",
        epilog=_EXAMPLES.format(family=next(iter(known), "FAMILY")),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    offered = "|".join((*COMMANDS, PREPARE, "import", "calibrate", "ablate", "exact"))
    actions = parser.add_subparsers(title="actions", metavar=offered, required=True)
    for command, help_line, run in (
        ("train", "train a network", _train),
        ("test", "predict whole frames and measure them", _test),
        ("export", "run networks over a scene's views, for its priors; or write a network in another format", _export),
        (PREPARE, "turn raw data into what training reads", _prepare),
    ):
        of_command = actions.add_parser(command, help=help_line, description=help_line)
        names = of_command.add_subparsers(title="families", metavar="FAMILY", required=True)
        for family in known.values():
            if command in family.commands:
                _add_family(names, family, command, run)
    add_ablate(actions)
    add_exact(actions)
    add_import(actions)
    add_calibrate(actions)


def _add_family(names: argparse._SubParsersAction, family: Family, command: str, run) -> None:
    parser = names.add_parser(family.name, help=family.help, description=family.help)
    if command != PREPARE:
        add_device(parser)
    if command == "train":
        add_train_arguments(parser, family.defaults)
    elif command == "test":
        add_test_arguments(parser, family.defaults)
    elif command == "export":
        add_export_arguments(parser)
        add_scene_arguments(parser)
    else:
        add_prepare_arguments(parser)
    family.add_arguments(parser, command)
    parser.set_defaults(run=run, family=family)


def _train(arguments: argparse.Namespace) -> int:
    # torch takes seconds to import: help and wrong flags are answered without it
    from nsr.cli.device import choose_device
    from nsr.priors.networks.common.trainer import train_family

    arguments.output = output_folder(arguments.output)
    run = train_family(arguments.family, arguments, choose_device(arguments.gpu))
    if arguments.verbose:
        print(f"{run}: trained; nsr prior test {arguments.family.name} --name {run.name}")
    return 0


def _test(arguments: argparse.Namespace) -> int:
    from nsr.cli.device import choose_device
    from nsr.priors.networks.common.evaluation import test_family

    arguments.output = output_folder(arguments.output)
    folder, means = test_family(arguments.family, arguments, choose_device(arguments.gpu))
    if arguments.verbose:
        print("  ".join(f"{name} {value:.4g}" for name, value in means.items()))
        print(f"results: {folder}")
    return 0


def _prepare(arguments: argparse.Namespace) -> int:
    print(arguments.family.prepare(arguments))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from nsr.priors.networks.common.checkpoints import task_from_checkpoint
    from nsr.priors.networks.common.run_folder import find_checkpoint

    if arguments.scene is not None:
        return export_bundles(arguments)
    for name in ("then", "input", "scene_unit", "cam_file"):
        if getattr(arguments, name):
            raise NsrError(f"--{name} is of a scene's views: give --scene too")
    if arguments.path is None:
        raise NsrError("nsr prior export needs the path of a file to write, or --scene to run the network over")
    family = arguments.family
    checkpoint = find_checkpoint(output_folder(arguments.output), family.name, arguments.name, arguments.checkpoint)
    print(family.export(task_from_checkpoint(checkpoint, family), arguments.path, arguments))
    return 0
