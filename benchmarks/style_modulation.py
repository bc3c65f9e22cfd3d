"""What style modulation changes: encoders fitted to one analytic surface with relief, in equal numbers of steps.

Each encoder stands before the same small network, starts on the same sphere, and is fitted to the distance of a
carved shape.  Fresh points near the surface then give the error in distance and in normal direction.  Beside the
style-modulated filter bank stand the bank without modulation, and the modulated one with its style or its attention
held still, which tells what each of the two does; means and standard deviations are over seeds.

    python benchmarks/style_modulation.py [--steps 300] [--seeds 2] [--shape carved_stone] [--log2-table 15]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch

from nsr.config.schema import EncodingConfig, ImplicitNetworkConfig
from nsr.fields.encoding import make_encoding
from nsr.fields.filter_bank import FilterBank
from nsr.fields.initialisation import fit_distance, initialise_sphere
from nsr.fields.sdf import SDFField
from nsr.scenes.synthetic.shapes import SHAPES, Shape

GRID = {"levels": 5, "features": 2, "base_resolution": 8, "finest_resolution": 128}
BANK = {**GRID, "width": 32, "outputs": 32, "readout": "concat", "w0": 30.0}
NETWORK_RATE = 5e-4
# A step of a table turns the phases of a bank by 2 pi sigma times as much: it wants that much smaller steps.
TABLE_RATE, BANK_TABLE_RATE = 1e-2, 5e-4


def still(encoding, *names: str):
    """The encoding with some parameters held at zero."""
    for name, parameter in encoding.named_parameters():
        if name in names:
            parameter.requires_grad_(False).zero_()
    return encoding


def encoders(log2_table: int) -> dict[str, Callable]:
    """What is compared: functions that make an encoding, by the name of their row."""
    grid, bank = GRID | {"log2_table": log2_table}, BANK | {"log2_table": log2_table}

    def make(name: str, options: dict, *stilled: str):
        return lambda: still(make_encoding(EncodingConfig(name, options)), *stilled)

    return {
        "PosEnc, 6 octaves": make("PosEnc", {"frequencies": 6}),
        "MultiResHash": make("MultiResHash", grid),
        "FFB": make("FFB", bank),
        "FFB_StyleMod": make("FFB_StyleMod", bank),
        "  its attention held still": make("FFB_StyleMod", bank, "query.weight", "key", "key_bias"),
        "  its style held still": make("FFB_StyleMod", bank, "style", "style_bias"),
    }


def surface_points(shape: Shape, count: int) -> torch.Tensor:
    """About ``count`` points on a shape, by Newton steps along its gradient."""
    points = torch.nn.functional.normalize(torch.randn(count, 3), dim=1) * torch.rand(count, 1) ** (1 / 3) * 0.9
    for _ in range(20):
        value, gradient = shape.field_and_gradient(points)
        points = points - value.unsqueeze(1) * gradient / gradient.square().sum(1, keepdim=True).clamp_min(0.1)
    return points[(shape.field(points).abs() < 1e-4) & (points.norm(dim=1) < 0.9)]


def measure(make, shape: Shape, steps: int, seed: int) -> tuple[float, float, float, int]:
    """Error in distance, in normal (degrees), milliseconds per step, number of parameters."""
    torch.manual_seed(seed)
    encoding = make()
    config = ImplicitNetworkConfig(dims=[64, 64], skip_in=[])
    field = SDFField(encoding, config, feature_size=0)
    initialise_sphere(field, 0.6)
    surface = surface_points(shape, 20_000)
    start = time.perf_counter()
    table_rate = BANK_TABLE_RATE if isinstance(encoding, FilterBank) else TABLE_RATE
    fit_distance(field, shape.field, surface, steps, 2048, NETWORK_RATE, table_rate, spread=0.03)
    milliseconds = 1000 * (time.perf_counter() - start) / steps
    fresh = surface_points(shape, 10_000)
    value, gradient, _ = field.geometry(fresh)
    _, truth = shape.field_and_gradient(fresh)
    cosine = torch.nn.functional.cosine_similarity(gradient.detach(), truth, dim=1)
    angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).mean()
    return value.detach().abs().mean().item(), angle.item(), milliseconds, sum(p.numel() for p in field.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--shape", default="carved_stone", choices=sorted(SHAPES))
    parser.add_argument("--log2-table", type=int, default=15, help="a small table makes the grids' entries collide")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    shape = SHAPES[arguments.shape]
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
    print(
        f"{arguments.shape}, {arguments.steps} steps of 2048 points, {arguments.seeds} seeds, "
        f"tables of 2^{arguments.log2_table}"
    )
    titles = ("distance error x 1e3", "normal error, degrees")
    print(f"{'encoder':28} {titles[0]:>22} {titles[1]:>22} {'ms/step':>8} {'parameters':>11}")
    for name, make in encoders(arguments.log2_table).items():
        runs = [measure(make, shape, arguments.steps, seed) for seed in range(arguments.seeds)]
        distance, angle, milliseconds, parameters = zip(*runs, strict=True)
        cells = [
            f"{statistics.mean(values) * scale:.2f} +- {statistics.pstdev(values) * scale:.2f}"
            for values, scale in ((distance, 1e3), (angle, 1))
        ]
        print(f"{name:28} {cells[0]:>22} {cells[1]:>22} {statistics.mean(milliseconds):8.1f} {parameters[0]:11d}")


if __name__ == "__main__":
    main()
