"""The neural Fourier filter bank: compiled operators beside plain PyTorch, in one run, on the CPU or on a GPU.

Rows, for a signed distance field on the bank of the confs (``FFB``) and on its authors' (``official_sdf``): values
alone, values with their Jacobian, a training step without the optimiser with a loss on values ("first order"), and one
with the gradient and an eikonal loss ("second order"); and for the bank without its grids the parts of the last.
Compiled and plain take turns; times are the least over repetitions, in milliseconds.  Prints a table in Markdown; with
--output writes it too.

    python benchmarks/filter_bank.py [--device cuda] [--points 8192] [--threads 1 2] [--output FILE]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from bodies import body_row, field_steps, table_head

from nsr.config.reader import load_config
from nsr.fields.encoding import make_encoding
from nsr.fields.sdf import SDFField

CONFS = Path(__file__).resolve().parents[1] / "confs" / "embedder_conf_var" / "FFB"
LAYERS = {"dtu_fixed_cameras": [64, 64], "official_sdf": [256]}  # of the network behind the bank, by conf
FEATURES = 13


def make_field(conf: str, device: torch.device) -> SDFField:
    """The distance field of a conf, with tables as large as those of a trained one."""
    torch.manual_seed(0)
    config = load_config(CONFS / f"{conf}.conf").model
    network = config.implicit_network
    network.dims, network.skip_in = LAYERS[conf], []
    field = SDFField(make_encoding(network.encoding), network, FEATURES).to(device)
    with torch.no_grad():
        field.encoding.table.uniform_(-0.1, 0.1)
    return field


def make_rows(conf: str, device: torch.device, points: int) -> dict[str, Callable[[], object]]:
    """What is measured of one conf."""
    field = make_field(conf, device)
    encoding = field.encoding
    x = torch.rand(points, 3, device=device) * 1.8 - 0.9
    with torch.no_grad():
        grid = encoding._grid(x, jacobian=True)

    @torch.no_grad()
    def values() -> None:
        encoding(x)

    @torch.no_grad()
    def jacobian() -> None:
        encoding.with_jacobian(x)

    def bank_alone() -> None:
        encoding.zero_grad()
        value, slopes = encoding._bank(x, *grid)
        (value.square().mean() + slopes.square().mean()).backward()

    size = f"{conf}, {points} points"
    return {
        f"values, {size}": values,
        f"values and Jacobian, {size}": jacobian,
        f"bank alone, forward with Jacobian and backward, {size}": bank_alone,
        **field_steps(field, x, size),
    }


def make_table(device: torch.device, points: int, seconds: float) -> str:
    """All rows as Markdown."""
    lines = table_head(device)
    for conf in LAYERS:
        for name, work in make_rows(conf, device, points).items():
            lines.append(body_row(name, work, "filter_bank_layer", device, seconds))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--points", default=8192, type=int)
    parser.add_argument("--threads", default=[torch.get_num_threads()], type=int, nargs="+", help="of the CPU")
    parser.add_argument("--seconds", default=1.0, type=float, help="for each number")
    parser.add_argument("--output", type=Path, help="a file to append the tables to")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        table = make_table(arguments.device, arguments.points, arguments.seconds)
        print(f"\n{table}")
        if arguments.output:
            with arguments.output.open("a") as file:
                file.write(f"\n## Filter bank\n\n{table}")


if __name__ == "__main__":
    main()
