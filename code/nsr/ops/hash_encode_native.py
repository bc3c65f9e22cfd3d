"""The multiresolution hash encoding by the compiled operators of ``csrc/hash_encode``, on CPU and CUDA."""

from __future__ import annotations

import functools

import torch

from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode_torch import route_backward
from nsr.ops.table_gradient import TableGradient, collector

_STORAGE = {"dense": 0, "hash": 1, "tiled": 2}
# Sums of up to 2**26 contributions, each below 2**36 quanta, stay below the 2**63 of an integer.
_QUANTA = 2**36


@functools.lru_cache(maxsize=64)
def native_layout(layout: GridLayout) -> tuple[torch.Tensor, torch.Tensor]:
    """A layout as the operators take it.

    Returns:
        int64 ``[L, 5]`` rows (offset, size, stride of y, stride of z, storage) and float64 ``[L]`` scales, on the CPU.
    """
    rows = [
        (
            layout.offsets[level],
            layout.sizes[level],
            *layout.strides(level),
            _STORAGE[layout.storage if layout.hashed(level) else "dense"],
        )
        for level in range(layout.levels)
    ]
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(layout.scales, dtype=torch.float64)


def native_limits(positions: torch.Tensor, layout: GridLayout) -> str | None:
    """Why the compiled operators do not serve these positions and this layout, or None where they do."""
    if layout.features not in (1, 2, 4, 8):
        return f"{layout.features} features per entry are not compiled (1, 2, 4 and 8 are)"
    if layout.levels > 32:
        return f"{layout.levels} levels are too many (32 at most)"
    if positions.dtype not in (torch.float32, torch.float64):
        return f"{positions.dtype} positions are not compiled (float32 and float64 are)"
    return None


class HashEncodeNative(torch.autograd.Function):
    """The operator with a compiled forward and first backward; see ``nsr.ops.hash_encode``.

    A backward that is itself to be differentiated goes through plain PyTorch operations.  The table's gradient on the
    CPU does not depend on the number of threads; on CUDA it is summed by atomic additions, whose order varies, unless
    ``torch.use_deterministic_algorithms(True)`` is set: then contributions are rounded to 2**-36 of the largest there
    can be, and their sums are exact.
    """

    @staticmethod
    def forward(ctx, positions, table, layout, jacobian):
        ctx.set_materialize_grads(False)
        ctx.layout, ctx.jacobian = layout, jacobian
        ctx.save_for_backward(positions, table)
        return torch.ops.nsr.hash_encode(
            positions.contiguous(), table.contiguous(), *native_layout(layout), layout.interpolation == "smoothstep",
            jacobian,
        )

    @staticmethod
    def backward(ctx, grad_features, grad_jacobian):
        positions, table = ctx.saved_tensors

        def first_order(grad_features, grad_jacobian):
            arguments = (positions, table, ctx.layout, grad_features, grad_jacobian)
            grad_positions = position_gradient(*arguments) if ctx.needs_input_grad[0] else None
            grad_table = None
            if ctx.needs_input_grad[1]:
                into = None if wants_exact_sums(positions) else collector(table)
                grad_table = table_gradient(*arguments) if into is None else add_table_gradient(*arguments, into)
            return grad_positions, grad_table

        return route_backward(ctx, positions, table, grad_features, grad_jacobian, first_order)


def position_gradient(positions, table, layout, grad_features, grad_jacobian) -> torch.Tensor:
    """Gradient ``[N, 3]`` in the positions; of the gradients in the outputs one may be None."""
    return torch.ops.nsr.hash_encode_position_gradient(
        *_arguments(positions, table, layout, grad_features, grad_jacobian)
    )


def table_gradient(positions, table, layout, grad_features, grad_jacobian) -> torch.Tensor:
    """Gradient in the table, of its shape and type; of the gradients in the outputs one may be None."""
    arguments = _arguments(positions, table, layout, grad_features, grad_jacobian)
    quantum = _quantum(layout, *arguments[-2:])
    return torch.ops.nsr.hash_encode_table_gradient(*arguments, quantum).to(table.dtype)


def add_table_gradient(positions, table, layout, grad_features, grad_jacobian, into: TableGradient) -> None:
    """Add the gradient in the table to ``into`` and mark what it touches."""
    torch.ops.nsr.hash_encode_add_table_gradient(
        *_arguments(positions, table, layout, grad_features, grad_jacobian), into.sum, into.touched
    )


def wants_exact_sums(tensor: torch.Tensor) -> bool:
    """Whether sums on CUDA are not to depend on the order of threads."""
    return tensor.is_cuda and torch.are_deterministic_algorithms_enabled()


def _arguments(positions, table, layout, grad_features, grad_jacobian) -> tuple:
    """What both backward operators take."""
    if grad_features is None:
        grad_features = positions.new_zeros(positions.shape[0], layout.levels * layout.features)
    if grad_jacobian is None:
        grad_jacobian = positions.new_empty(0)
    return (
        positions.contiguous(), table.contiguous(), *native_layout(layout), layout.interpolation == "smoothstep",
        grad_features.contiguous(), grad_jacobian.contiguous(),
    )


def _quantum(layout: GridLayout, grad_features: torch.Tensor, grad_jacobian: torch.Tensor) -> float:
    """Unit of the exact sums on CUDA, or 0 where order does not matter: on the CPU and where nobody asked."""
    if not wants_exact_sums(grad_features):
        return 0.0
    largest = [float(grad.abs().max()) if grad.numel() else 0.0 for grad in (grad_features, grad_jacobian)]
    # A slope of the weights is at most 1.5 per cell, and a corner takes part in three derivatives.
    bound = largest[0] + 4.5 * max(layout.scales) * largest[1]
    if bound != bound or bound == float("inf"):
        return 0.0  # the sum is not finite in any order
    return max(bound / _QUANTA, 1e-300)
