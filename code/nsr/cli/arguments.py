"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import math


def positive_int(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


positive_int.__name__ = "whole number"  # argparse puts it into its message


def positive_number(text: str) -> float:
    value = float(text)
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above zero")
    return value


positive_number.__name__ = "number"


def number_from_zero(text: str) -> float:
    value = float(text)
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number from zero on")
    return value


number_from_zero.__name__ = "number"


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gpu",
        default="auto",
        metavar="auto|ignore|N",
        help="auto: the CUDA device with most free memory, else the CPU; ignore: the CPU; N: that device "
        "(default: auto)",
    )


def add_run_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timestamp", default="latest", help="which run of the experiment (default: the newest with a checkpoint)"
    )
    parser.add_argument(
        "--checkpoint", default="latest", help="which of its checkpoints: a step's number (default: latest)"
    )
