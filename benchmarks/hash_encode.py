"""The hash encoding: compiled operators beside plain PyTorch, in one run, on the CPU or on a GPU.

Rows: the forward, with the Jacobian, both backward passes, and what training does with it: a signed distance field
(hash grid of 16 levels x 2, MLP 2x64) with its gradient and the backward of an eikonal loss ("second order"), beside
the same field with a loss on its values alone ("first order").  Times are the least over repetitions, in milliseconds.
Prints a table in Markdown; with --output writes it too.

    python benchmarks/hash_encode.py [--device cuda] [--points 65536] [--output FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
from bodies import body_row, field_steps, table_head
from timing import least_times

from nsr.config.schema import ImplicitNetworkConfig
from nsr.fields.hash_grid import MultiResolutionHashGrid
from nsr.fields.sdf import SDFField
from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode import hash_encode

LEVELS, FEATURES, BASE, FINEST = 16, 2, 16, 2048


def operator_rows(device: torch.device, log2_table: int, points: int) -> dict[str, Callable[[], object]]:
    """The operator's own passes."""
    layout = GridLayout(LEVELS, FEATURES, log2_table, BASE, FINEST)
    positions = torch.rand(points, 3, device=device)
    table = torch.rand(layout.entries, FEATURES, device=device)
    weights = torch.randn(points, LEVELS * FEATURES, device=device)

    def gradient(of_table: bool) -> Callable[[], object]:
        x, t = positions.clone().requires_grad_(not of_table), table.clone().requires_grad_(of_table)
        return lambda: torch.autograd.grad(hash_encode(x, t, layout)[0], t if of_table else x, weights)

    size = f"T=2^{log2_table}, {points} points"
    return {
        f"forward, {size}": lambda: hash_encode(positions, table, layout),
        f"forward and Jacobian, {size}": lambda: hash_encode(positions, table, layout, jacobian=True),
        f"forward and table gradient, {size}": gradient(True),
        f"forward and position gradient, {size}": gradient(False),
    }


def field_rows(device: torch.device, log2_table: int, points: int) -> dict[str, Callable[[], object]]:
    """The training steps of a field on such a grid."""
    torch.manual_seed(0)
    grid = MultiResolutionHashGrid(
        levels=LEVELS, features=FEATURES, log2_table=log2_table, base_resolution=BASE, finest_resolution=FINEST
    )
    field = SDFField(grid, ImplicitNetworkConfig(dims=[64, 64], skip_in=[]), feature_size=13).to(device)
    x = torch.rand(points, 3, device=device) * 2 - 1
    return field_steps(field, x, f"T=2^{log2_table}, {points} points")


def tcnn_row(device: torch.device, log2_table: int, points: int) -> Callable[[], object] | None:
    """tiny-cuda-nn's grid, forward and table gradient, or None where it is not installed."""
    if device.type != "cuda" or importlib.util.find_spec("tinycudann") is None:
        return None
    import tinycudann

    growth = (FINEST / BASE) ** (1 / (LEVELS - 1))
    grid = tinycudann.Encoding(
        3,
        {
            "otype": "HashGrid", "n_levels": LEVELS, "n_features_per_level": FEATURES,
            "log2_hashmap_size": log2_table, "base_resolution": BASE, "per_level_scale": growth,
        },
        dtype=torch.float32,
    )
    positions, weights = torch.rand(points, 3, device=device), torch.randn(points, LEVELS * FEATURES, device=device)
    return lambda: torch.autograd.grad(grid(positions), grid.params, weights)


def make_table(device: torch.device, points: int, seconds: float) -> str:
    """All rows as Markdown."""
    composite = 8192 if device.type == "cpu" else 2**18
    lines = table_head(device)
    for log2_table in (15, 19):
        works = operator_rows(device, log2_table, points) | field_rows(device, log2_table, composite)
        for name, work in works.items():
            lines.append(body_row(name, work, "hash_encode", device, seconds))
        row = tcnn_row(device, log2_table, points)
        told = "not measured (tinycudann is not here)"
        if row:
            told = f"{least_times({'tcnn': row}, device, seconds)['tcnn']:.2f}"
        if device.type == "cuda":
            lines.append(f"| tiny-cuda-nn's grid, forward and table gradient, T=2^{log2_table} | {told} | | |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--points", default=65536, type=int)
    parser.add_argument("--seconds", default=1.0, type=float, help="for each number")
    parser.add_argument("--output", type=Path, help="a file to append the table to")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    table = make_table(arguments.device, arguments.points, arguments.seconds)
    print(f"\n{table}")
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(f"\n## Hash encoding\n\n{table}")


if __name__ == "__main__":
    main()
