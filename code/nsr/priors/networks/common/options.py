"""The flags that every family has, with one meaning."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

from nsr.errors import NsrError

SYNTHETIC, REAL = "synthetic", "real"
SCHEDULES = ("cosine", "step")
DEFAULT_OUTPUT = "exps/priors"
SHIPPED = "shipped"


def add_train_arguments(parser: ArgumentParser, defaults: dict[str, object]) -> None:
    """The shared flags of ``nsr prior train``; ``defaults`` are the family's."""
    run = parser.add_argument_group("the run")
    run.add_argument("--name", default="default", help="of the run's folder (default: %(default)s)")
    run.add_argument("--output", default=DEFAULT_OUTPUT, help="runs go to OUTPUT/FAMILY/NAME (default: %(default)s)")
    run.add_argument(
        "--verbose",
        type=int,
        choices=(0, 1, 2),
        default=1,
        help="0: nothing, 1: a progress bar, 2: a line an epoch (default: %(default)s)",
    )
    start = run.add_mutually_exclusive_group()
    start.add_argument("--retrain", action="store_true", help="go on from the run's final checkpoint, exactly")
    start.add_argument(
        "--finetune",
        nargs="?",
        const="",
        metavar="RUN",
        help="start from the best checkpoint of this run, of another RUN, or of the 'shipped' one",
    )
    run.add_argument(
        "--keep", type=int, default=3, help="numbered checkpoints to keep, the newest (default: %(default)s)"
    )
    run.add_argument("--seed", type=int, default=0, help="of data, weights and order (default: %(default)s)")

    data = parser.add_argument_group("the data")
    data.add_argument(
        "--data", default=SYNTHETIC, help="synthetic, real (below NSR_DATA) or a FOLDER (default: %(default)s)"
    )
    data.add_argument(
        "--num", type=int, default=10, help="frames, or scenes where they are made (default: %(default)s)"
    )
    data.add_argument("--val", type=float, default=0.3, help="part of the scenes that validates (default: %(default)s)")
    data.add_argument("--patch", type=int, default=128, help="size of training patches, pixels (default: %(default)s)")
    data.add_argument("--stride", type=int, default=128, help="between patches, pixels (default: %(default)s)")
    data.add_argument("--streaming", action="store_true", help="read or make frames when they are asked for, not once")
    data.add_argument("--workers", type=int, default=0, help="processes that read or make them (default: %(default)s)")

    learning = parser.add_argument_group("learning")
    learning.add_argument("--epoch", type=int, default=100, help="passes over the data (default: %(default)s)")
    learning.add_argument(
        "--seconds",
        type=float,
        default=0.0,
        help="end after so long, whatever --epoch says; rates follow the clock (default: no bound)",
    )
    learning.add_argument("--lr", type=float, default=1e-3, help="learning rate (default: %(default)s)")
    learning.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="cosine",
        help="of the rate: down to 1%% along a cosine, or a tenth after 50, 75 and 90%% of the run "
        "(default: %(default)s)",
    )
    learning.add_argument(
        "--warmup", type=float, default=0.02, help="part of the run over which the rate rises (default: %(default)s)"
    )
    learning.add_argument(
        "--clip", type=float, default=1.0, help="largest norm of a gradient; 0: any (default: %(default)s)"
    )
    learning.add_argument("--batch", type=int, default=8, help="patches of a step (default: %(default)s)")
    learning.add_argument("--drop", type=float, default=0.2, help="dropout (default: %(default)s)")
    learning.add_argument("--width", type=int, help="channels of the first level (default: %(default)s)")
    parser.set_defaults(**defaults)


def check_train_options(options: Namespace) -> None:
    """Refuse what no training can do with the shared flags of ``nsr prior train``.

    Raises:
        NsrError: a flag is out of its range, or the run's name is none that can be found again.
    """
    check_at_least(options, 1, "epoch", "num", "batch", "patch", "stride", "width")
    check_at_least(options, 0, "keep", "workers", "seed", "seconds", "clip")
    if not (options.lr > 0 and math.isfinite(options.lr)):
        raise NsrError(f"--lr is {options.lr}; it must be above 0 and finite")
    if not 0 <= options.drop < 1:
        raise NsrError(f"--drop is {options.drop}; dropout lies from 0 to below 1")
    if not 0 <= options.warmup <= 1:
        raise NsrError(f"--warmup is {options.warmup}; it is a part of the run, from 0 to 1")
    if options.name == SHIPPED or options.name != Path(options.name).name or options.name in ("", ".."):
        raise NsrError(
            f"--name {options.name!r}: a run is named as a folder is, without a path (--output is for that), and "
            f"{SHIPPED!r} is what comes with the project"
        )


def check_test_options(options: Namespace) -> None:
    """Refuse what no test can do with the shared flags of ``nsr prior test``.

    Raises:
        NsrError: a flag is out of its range.
    """
    check_at_least(options, 1, "num")
    check_at_least(options, 0, "seed", "panels")


def check_at_least(options: Namespace, least: int, *names: str) -> None:
    """Refuse flags that are below ``least`` or no finite number; one that was not given passes.

    Raises:
        NsrError: one is.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and not (value >= least and math.isfinite(value)):
            raise NsrError(f"--{name.replace('_', '-')} is {value:g}; it must be at least {least}")


def add_test_arguments(parser: ArgumentParser, defaults: dict[str, object]) -> None:
    """The shared flags of ``nsr prior test``."""
    _add_checkpoint(parser)
    parser.add_argument(
        "--data", default=SYNTHETIC, help="synthetic, real (below NSR_DATA) or a FOLDER (default: %(default)s)"
    )
    parser.add_argument("--num", type=int, default=10, help="frames (default: %(default)s)")
    parser.add_argument(
        "--seed",
        type=int,
        default=1000,
        help="of synthetic frames (default: %(default)s, which no training with a seed below it has seen)",
    )
    parser.add_argument("--panels", type=int, default=4, help="frames that are drawn (default: %(default)s)")
    parser.add_argument(
        "--verbose",
        type=int,
        choices=(0, 1, 2),
        default=1,
        help="0: nothing, 1: a progress bar and the means, 2: a line a frame (default: %(default)s)",
    )
    parser.set_defaults(**{name: defaults[name] for name in ("data",) if name in defaults})


def add_export_arguments(parser: ArgumentParser) -> None:
    """The shared flags of ``nsr prior export``."""
    _add_checkpoint(parser)
    parser.add_argument(
        "path",
        nargs="?",
        help="of the file to write; with --scene the folder of bundles (default: priors, in the scene's)",
    )


def add_prepare_arguments(parser: ArgumentParser) -> None:
    """The shared flags of ``nsr prior prepare``."""
    parser.add_argument("source", help="folder with the raw data")
    parser.add_argument("destination", help="folder to write")


def _add_checkpoint(parser: ArgumentParser) -> None:
    parser.add_argument("--name", help="the run (default: the newest of the family, else the shipped checkpoint)")
    parser.add_argument("--output", default=DEFAULT_OUTPUT, help="where runs are (default: %(default)s)")
    parser.add_argument(
        "--checkpoint", default="best", help="best, final, an epoch's number or a file (default: %(default)s)"
    )
