"""The neural Fourier filter bank: a network of sines, fed by grids, and its Jacobian from one operator.

Wu, Jin and Yi, "Neural Fourier Filter Bank" (CVPR 2023, arXiv 2212.01735).  With ``g_i`` the F features of grid level
i = 0 .. L - 1 at the position x, and ``u = x / bound``::

    e_i = sin(2 pi g_i B_i + phase_i)
    h   = sin(w0 (W u + b_0))
    h_i = sin(w0 (V_i h_(i-1) + b_(i+1))) + e_i    h_(-1) = h
    y   = (1/L) (A [s_0 h_0 .. s_(L-1) h_(L-1)] + a)   readout concat
    y   = sum_i s_i sin(w1 (A_i h_i + a_i))            readout heads
    y   = (1/L) [s_0 h_0 .. s_(L-1) h_(L-1)]           readout levels

The Jacobian in x is carried forward with the values.  Compiled are the bands, sines and sums between two products of
matrices, in one pass over memory; the products are torch's.
"""

from __future__ import annotations

import torch

from nsr.ops import backend
from nsr.ops.filter_bank_native import filter_bank_native, native_limits
from nsr.ops.filter_bank_torch import ACTIVATIONS, READOUTS, FilterBankParameters, filter_bank_reference

__all__ = ["ACTIVATIONS", "READOUTS", "FilterBankParameters", "filter_bank", "filter_bank_reference"]


def filter_bank(
    positions: torch.Tensor, grid: torch.Tensor, grid_jacobian: torch.Tensor | None, bank: FilterBankParameters
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Evaluate a filter bank.

    Args:
        positions: ``[N, 3]``, x in the units of ``bank.bound``.
        grid: ``[N, L * F]``, level-major: the features of the grids at the positions.
        grid_jacobian: ``[N, L * F, 3]``, their derivatives in x; None where no Jacobian is wanted.
        bank: its parameters, of the positions' dtype and device.

    Returns:
        y ``[N, O]`` and, where ``grid_jacobian`` is given, its Jacobian in x ``[N, O, 3]``, else None.  Both are
        differentiable in the positions, in the grid's features and Jacobian and in all trained parameters, to any
        order; a differentiated backward runs as plain PyTorch.  Compiled and plain results agree to the rounding of
        the phases: in float32, 1e-7 of the largest phase, times what the layers that follow make of it.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
        NsrError: NSR_BACKEND asks for a body that is not here.
    """
    _check(positions, grid, grid_jacobian, bank)
    if backend.runs_native("filter_bank_layer", positions.device, native_limits(positions, bank)):
        return filter_bank_native(positions, grid, grid_jacobian, bank)
    return filter_bank_reference(positions, grid, grid_jacobian, bank)


def _check(positions, grid, grid_jacobian, bank) -> None:
    if positions.dim() != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions must be [N, 3], got {list(positions.shape)}")
    if bank.bands.dim() != 3:
        raise ValueError(f"bands must be [L, F, W], got {list(bank.bands.shape)}")
    levels, features, width = bank.bands.shape
    count, channels = positions.shape[0], levels * features
    wanted = {
        "grid": (grid, (count, channels)),
        "grid_jacobian": (grid_jacobian, (count, channels, 3)),
        "phase": (bank.phase, (levels, width)),
        "first_weight": (bank.first_weight, (width, 3)),
        "weights": (bank.weights, (levels, width, width)),
        "biases": (bank.biases, (levels + 1, width)),
        "shares": (bank.shares, (levels,)),
    }
    if bank.readout != "levels":
        concat, outputs = bank.readout == "concat", bank.outputs
        wanted["head_weight"] = (bank.head_weight, (outputs, levels * width) if concat else (levels, outputs, width))
        wanted["head_bias"] = (bank.head_bias, (outputs,) if concat else (levels, outputs))
    for name, (tensor, shape) in wanted.items():
        if tensor is None:
            continue
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must be {list(shape)}, got {list(tensor.shape)}")
        if tensor.dtype != positions.dtype or not tensor.is_floating_point():
            raise ValueError(f"positions ({positions.dtype}) and {name} ({tensor.dtype}) must share one floating dtype")
        if tensor.device != positions.device:
            raise ValueError(f"positions are on {positions.device}, {name} is on {tensor.device}")
