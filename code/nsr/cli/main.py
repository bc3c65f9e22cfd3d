"""The ``nsr`` command and IDR's three scripts: parse, run, and turn errors into one line and an exit code."""

from __future__ import annotations

import os

# Idle OpenMP threads must sleep: spinning ones take the cores from the loop that feeds them.  Read once, by torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A step is hundreds of short parallel regions, between which sleeping threads would cost a third of it: they spin some
# microseconds first.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import argparse
import contextlib
import errno
import logging
import sys
from collections.abc import Callable, Iterator, Sequence

import nsr
from nsr.cli import compare, compare_meshes, doctor, dtu, evaluate, mesh, pack, prior, scene, swap, train, view
from nsr.errors import NsrError

USER_ERROR = 2
INTERRUPTED = 130
BROKEN_PIPE = 141

_EXAMPLES = """\
examples:
  nsr scene make data/default                make a synthetic scene with exact ground truth
  nsr scene check photos/mug                 what is wrong with a folder, before any training
  nsr train photos/mug --minutes 4           reconstruct it
  nsr train --conf confs/idr.conf --scan_id 65
  nsr eval exps/default_mug                  mesh, renders, metrics and a report of its newest run
  nsr view exps/default_mug                  a live viewer in the browser, while it trains or after
  nsr mesh exps/default_mug                  a coloured or textured mesh, as PLY, OBJ or GLB
  nsr compare exps/default_mug exps/idr_mug  their figures and curves beside each other
  nsr swap exps/idr_65 exps/idr_110          the shape of one run in the colours of another
  nsr prior train depth-denoising            networks that give depth, normals, albedo and shading
  nsr doctor                                 what this machine has

A scene folder holds image/, mask/ and cameras.npz.  'nsr COMMAND --help' says more about each.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The ``nsr`` command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="nsr",
        description="The surface of an object from photographs, masks and cameras.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nsr {nsr.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (train, evaluate, view, mesh, swap, dtu, compare_meshes, compare, pack, scene, prior, doctor):
        module.add_command(commands)
    arguments = parser.parse_args(argv)
    return run(lambda: arguments.run(arguments))


def exp_runner(argv: Sequence[str] | None = None) -> int:
    """IDR's ``training/exp_runner.py``; returns its exit code."""
    arguments = train.script_parser().parse_args(argv)
    return run(lambda: train.run(arguments))


def evaluation_script(argv: Sequence[str] | None = None) -> int:
    """IDR's ``evaluation/eval.py``; returns its exit code."""
    arguments = evaluate.script_parser().parse_args(argv)
    return run(lambda: evaluate.run_script(arguments))


def disentanglement_script(argv: Sequence[str] | None = None) -> int:
    """IDR's ``evaluation/eval_disentanglement.py``; returns its exit code."""
    arguments = swap.script_parser().parse_args(argv)
    return run(lambda: swap.run_script(arguments))


def run(command: Callable[[], int]) -> int:
    """Run ``command``: 2 after an error that the user can put right, 130 after Ctrl-C, else what it returns.

    Any other exception is a defect of ours and keeps its stack trace.
    """
    try:
        with _log_to_stderr():
            return command()
    except NsrError as error:
        return _fail(str(error))
    except KeyboardInterrupt as stop:
        print(f"nsr: {str(stop) or 'interrupted'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads the output has seen enough, as in "nsr doctor | head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in _USER_ERRNOS:
            raise
        where = f": {error.filename}" if error.filename else ""
        return _fail(_USER_ERRNOS[error.errno] + where)


_USER_ERRNOS = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EACCES: "no permission to read or write",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a file stands where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
}


def _fail(message: str) -> int:
    print(f"nsr: error: {' '.join(message.split())}", file=sys.stderr)
    return USER_ERROR


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f" {record.levelname.lower()}:"
        return f"nsr:{level} {record.getMessage()}"


@contextlib.contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Show the package's own log lines, and no other library's, while a command runs."""
    logger = logging.getLogger("nsr")
    before = logger.level, logger.propagate
    handler = logging.StreamHandler()
    handler.setFormatter(_LineFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


if __name__ == "__main__":
    sys.exit(main())
