"""What the operators' benchmarks share: an operator's compiled and plain bodies taking turns, and a field's steps."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from timing import describe, least_times

from nsr.fields.sdf import SDFField
from nsr.ops import backend


def table_head(device: torch.device) -> list[str]:
    """The first lines of a table of ``body_row``s."""
    return [describe(device), "", "| | compiled, ms | PyTorch, ms | ratio |", "|---|---|---|---|"]


def body_row(name: str, work: Callable[[], object], operator: str, device: torch.device, seconds: float) -> str:
    """One work with the compiled body of ``operator``, where it is here, and with PyTorch's; it is printed too."""

    def with_body(body: str) -> Callable[[], object]:
        def run() -> None:
            os.environ["NSR_BACKEND"] = body
            work()

        return run

    os.environ.pop("NSR_BACKEND", None)
    bodies = ["native", "torch"] if backend.runs_native(operator, device) else ["torch"]
    times = least_times({body: with_body(body) for body in bodies}, device, seconds)
    compiled, plain = times.get("native"), times["torch"]
    told = f"{compiled:.2f} | {plain:.2f} | {plain / compiled:.1f}" if compiled else f"none | {plain:.2f} |"
    line = f"| {name} | {told} |"
    print(line, flush=True)
    return line


def field_steps(field: SDFField, x: torch.Tensor, size: str) -> dict[str, Callable[[], object]]:
    """A field's training steps without the optimiser: of first order (a loss on its values) and of second (on its
    gradient too)."""

    def first_order() -> None:
        field.zero_grad()
        field.value(x).abs().mean().backward()

    def second_order() -> None:
        field.zero_grad()
        sdf, gradient, _ = field.geometry(x)
        (sdf.abs().mean() + (gradient.norm(dim=1) - 1).square().mean()).backward()

    return {f"first-order step, {size}": first_order, f"second-order step, {size}": second_order}
