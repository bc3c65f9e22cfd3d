"""``nsr compare``: a table and plots of runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from nsr.cli.runs import existing_folder
from nsr.errors import NsrError
from nsr.training.run_folder import find_run

DEFAULT_OUTPUT = "comparison.html"

_EXAMPLES = """\
examples:
  nsr compare exps/default_mug exps/idr_mug             the newest run of each experiment
  nsr compare exps/default_mug/2026_*  --output mug.html

Prints a table and writes a page with the curves of the TensorBoard logs, the PSNR of every view and what differs in
the confs.  Reads what training and 'nsr eval' wrote; runs in training are read as far as they are.
"""


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "compare",
        help="a table and plots of runs",
        description="Put runs beside each other: their figures, their curves, their confs.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", metavar="RUN", nargs="+", help="run folders or experiments (their newest runs)")
    parser.add_argument(
        "--output", default=DEFAULT_OUTPUT, metavar="FILE", help=f"the page to write (default: {DEFAULT_OUTPUT})"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """``nsr compare RUN RUN...``."""
    folders = [find_run(existing_folder(name)).resolve() for name in arguments.folders]
    for folder in folders:
        if folders.count(folder) > 1:
            raise NsrError(f"{folder}: is named more than once (an experiment's name stands for its newest run)")

    # torch takes seconds to import: a run that is not there is reported without it
    from nsr.evaluation.comparison import format_comparison, write_comparison
    from nsr.evaluation.run_summary import summarise_run

    runs = [summarise_run(folder) for folder in folders]
    print(format_comparison(runs))
    output = Path(arguments.output).expanduser().resolve()
    if output.is_dir():
        raise NsrError(f"{output}: is a folder; --output names the page to write")
    try:
        write_comparison(output, runs)
    except OSError as error:
        raise NsrError(f"{output}: the comparison cannot be written: {error.strerror or error}") from error
    print(f"page: {output}")
    return 0
