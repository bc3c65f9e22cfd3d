"""``nsr pack``: a copy of a run that is small enough to give away."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.arguments import add_run_choice
from nsr.cli.locations import output_folder, project_root
from nsr.cli.runs import chosen_run
from nsr.config.reader import load_config
from nsr.config.schema import DatasetConfig
from nsr.errors import NsrError
from nsr.training.run_folder import IDR_SUFFIX, RUN_CONF, find_checkpoint

_EXAMPLES = """\
examples:
  nsr pack exps/default_mug shared                       shared/default_mug/<timestamp>, for nsr eval, mesh, view, swap
  nsr pack exps/small_default trained_models             how the repository's own model was packed

The copy has the conf and one checkpoint, which keeps the fields and the cameras, tables in half precision, and not what
only training needs: a twelfth to a sixth of the size.  Training cannot continue from it.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "pack",
        help="a copy of a run that is small enough to give away",
        description="Copy a run without what only training needs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="RUN", help="a run folder, an experiment, or a folder of experiments")
    parser.add_argument("destination", metavar="FOLDER", help="of experiments, for the copy")
    add_run_choice(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """``nsr pack RUN FOLDER``."""
    run_folder = chosen_run(arguments)
    checkpoint = find_checkpoint(run_folder, arguments.checkpoint)
    if checkpoint.suffix == IDR_SUFFIX:
        raise NsrError(f"{checkpoint}: checkpoints of IDR have nothing that only training needs")
    destination = output_folder(arguments.destination) / run_folder.parent.name / run_folder.name

    # torch takes seconds to import: a run that is not there is reported without it
    from nsr.training.packed_run import pack_run

    try:
        pack_run(run_folder, checkpoint, destination, _portable(load_config(run_folder / RUN_CONF).dataset))
    except OSError as error:
        raise NsrError(f"{destination}: the run cannot be written: {error.strerror or error}") from error
    size = sum(path.stat().st_size for path in destination.rglob("*") if path.is_file())
    print(f"packed: {destination}, {size / 1e6:.1f} MB")
    return 0


def _portable(dataset: DatasetConfig) -> str:
    """The scene's place as others may have it: below the repository, else by its folder's name alone."""
    path, root = Path(dataset.data_dir), project_root()
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.name
