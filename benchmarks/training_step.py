"""What a training step costs: of a distance field on a hash grid, and of the whole surface renderer.

The field (grid of 16 levels x 2, T=2^19, MLP 2x64) is trained with a loss on its values alone ("first order") and with
its gradient and an eikonal loss ("second order"), optimiser included: compiled, in plain PyTorch, and, where it is
installed, on tiny-cuda-nn's grid with its own double backward before the same network.  Then one step of the surface
renderer of ``confs/default.conf`` on a scene.  Works of a kind take turns; times are the least over repetitions.
Prints tables in Markdown; with --output writes them too.

    python benchmarks/training_step.py [--device cuda] [--samples 262144] [--scene FOLDER] [--rays 1024 16384]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import torch
from timing import describe, least_times

from nsr.config.reader import load_config
from nsr.config.schema import ImplicitNetworkConfig
from nsr.fields.hash_grid import MultiResolutionHashGrid
from nsr.fields.sdf import SDFField
from nsr.ops import backend
from nsr.ops.table_adam import TableAdam
from nsr.scenes.idr_folder import load_scene
from nsr.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
GRID = {"levels": 16, "features": 2, "log2_table": 19, "base_resolution": 16, "finest_resolution": 2048}
NETWORK, FEATURES = ImplicitNetworkConfig(dims=[64, 64], skip_in=[]), 13
ORDERS = ("first", "second")


def loss_of(sdf: torch.Tensor, gradient: torch.Tensor | None) -> torch.Tensor:
    loss = sdf.abs().mean()
    return loss if gradient is None else loss + (gradient.norm(dim=1) - 1).square().mean()


def field_step(order: str, samples: int, device: torch.device) -> Callable[[], None]:
    """A step of our own field."""
    torch.manual_seed(0)
    field = SDFField(MultiResolutionHashGrid(**GRID), NETWORK, FEATURES).to(device)
    tables = field.table_parameters()
    networks = [p for p in field.parameters() if all(p is not table for table in tables)]
    optimisers = [torch.optim.Adam(networks, lr=1e-3, fused=True), TableAdam(tables, lr=1e-3)]
    x = torch.rand(samples, 3, device=device) * 2 - 1

    def step() -> None:
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        sdf, gradient, _ = field.geometry(x) if order == "second" else (field.value(x), None, None)
        loss_of(sdf, gradient).backward()
        for optimiser in optimisers:
            optimiser.step()

    return step


def tcnn_step(order: str, samples: int, device: torch.device) -> Callable[[], None]:
    """The same on tiny-cuda-nn's grid, whose gradient in the input autograd differentiates once more."""
    import tinycudann

    growth = (GRID["finest_resolution"] / GRID["base_resolution"]) ** (1 / (GRID["levels"] - 1))
    grid = tinycudann.Encoding(
        3,
        {
            "otype": "HashGrid", "n_levels": GRID["levels"], "n_features_per_level": GRID["features"],
            "log2_hashmap_size": GRID["log2_table"], "base_resolution": GRID["base_resolution"],
            "per_level_scale": growth,
        },
        dtype=torch.float32,
    )
    widths = [3 + GRID["levels"] * GRID["features"], *NETWORK.dims]
    layers = [torch.nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    modules = [module for layer in layers for module in (layer, torch.nn.Softplus(beta=100))]
    network = torch.nn.Sequential(*modules, torch.nn.Linear(widths[-1], 1 + FEATURES)).to(device)
    optimiser = torch.optim.Adam([*grid.parameters(), *network.parameters()], lr=1e-3, fused=True)
    x = (torch.rand(samples, 3, device=device) * 2 - 1).requires_grad_(order == "second")

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        sdf = network(torch.cat([x, grid((x + 1) / 2)], dim=1))[:, 0]
        gradient = torch.autograd.grad(sdf.sum(), x, create_graph=True)[0] if order == "second" else None
        loss_of(sdf, gradient).backward()
        optimiser.step()

    return step


def with_body(body: str, work: Callable[[], object]) -> Callable[[], object]:
    def run() -> None:
        os.environ["NSR_BACKEND"] = body
        work()

    return run


def compiled_here(device: torch.device) -> bool:
    os.environ.pop("NSR_BACKEND", None)
    return backend.runs_native("hash_encode", device)


def field_table(device: torch.device, samples: int, seconds: float) -> list[str]:
    bodies = ["compiled", "PyTorch"] if compiled_here(device) else ["PyTorch"]
    with_tcnn = device.type == "cuda" and importlib.util.find_spec("tinycudann") is not None
    times: dict[str, dict[str, float]] = {}
    for order in ORDERS:
        step = field_step(order, samples, device)
        works = {body: with_body("native" if body == "compiled" else "torch", step) for body in bodies}
        if with_tcnn:
            works["tiny-cuda-nn"] = tcnn_step(order, samples, device)
        times[order] = least_times(works, device, seconds)
    lines = [
        f"| field, {samples} samples | first order, ms | second order, ms | second / first | second-order steps/s |",
        "|---|---|---|---|---|",
    ]
    for body in [*bodies, *(["tiny-cuda-nn"] if with_tcnn else [])]:
        first, second = (times[order][body] for order in ORDERS)
        lines.append(f"| {body} | {first:.2f} | {second:.2f} | {second / first:.2f} | {1000 / second:.1f} |")
    if not with_tcnn:
        lines.append("| tiny-cuda-nn | not measured: it is not here | | | |")
    slowest = times["second"]
    for other in ("PyTorch", "tiny-cuda-nn"):
        if "compiled" in slowest and other in slowest:
            lines.append(f"| {other} / compiled, second order | | {slowest[other] / slowest['compiled']:.1f} | | |")
    return lines


def renderer_table(device: torch.device, scene_folder: Path, rays: list[int], seconds: float) -> list[str]:
    """Steps a tenth into a run: of the same renderer with more and more rays."""
    compiled = compiled_here(device)
    lines = [f"| surface renderer, {scene_folder.name} | ms | steps/s | rays/s |", "|---|---|---|---|"]
    for count in rays:
        config = load_config(ROOT / "confs" / "default.conf")
        config.train.num_pixels, config.train.steps = count, 100_000
        trainer = Trainer(config, load_scene(scene_folder), device)
        trainer.clock.step = 10_000
        step = with_body("native" if compiled else "torch", trainer.step)
        (time,) = least_times({"step": step}, device, seconds).values()
        lines.append(f"| {count} rays | {time:.2f} | {1000 / time:.1f} | {1000 * count / time:.0f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--samples", default=2**18, type=int, help="of the field")
    parser.add_argument("--scene", default=ROOT / "data" / "sample", type=Path)
    parser.add_argument("--rays", default=[1024], type=int, nargs="*")
    parser.add_argument("--seconds", default=1.0, type=float, help="for each number")
    parser.add_argument("--output", type=Path, help="a file to append the tables to")
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    device, seconds = arguments.device, arguments.seconds
    head = describe(device)
    print(f"{head}\n")
    tables = []
    for make in (
        lambda: field_table(device, arguments.samples, seconds),
        lambda: renderer_table(device, arguments.scene, arguments.rays, seconds),
    ):
        tables.append("\n".join(make()))
        print(f"{tables[-1]}\n", flush=True)
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(f"\n## Training step\n\n{head}\n\n" + "\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
