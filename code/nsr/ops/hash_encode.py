"""Multiresolution hash encoding: features and their Jacobian from one operator.

Mueller et al., "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding" (SIGGRAPH 2022), with the
grid definition of tiny-cuda-nn: level ``l`` has ``scale_l = base * growth^l - 1`` cells per unit length, a point sits
at ``x * scale_l + 0.5``, and a level whose vertices fit into the table is stored densely.  Interpolation is trilinear,
with weights that are linear or smoothstep.

The Jacobian is an output of its own, so that a loss on the gradient of a field needs only one backward pass through
this operator.  The bodies (compiled, and plain PyTorch) agree in values and in first and second derivatives.
"""

from __future__ import annotations

import torch

from nsr.ops import backend
from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode_native import HashEncodeNative, native_limits, position_gradient
from nsr.ops.hash_encode_torch import HashEncodeTorch, hash_encode_reference

__all__ = ["GridLayout", "hash_encode", "hash_encode_bend", "hash_encode_reference"]


def hash_encode(
    positions: torch.Tensor, table: torch.Tensor, layout: GridLayout, jacobian: bool = False
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Encode positions by interpolating a multiresolution table.

    Args:
        positions: ``[N, 3]`` in [0, 1]; positions outside are clamped to it (with zero Jacobian there).
        table: ``[layout.entries, F]``, same floating dtype and device as the positions; or float16 beside float32
            positions: sums are then formed, and both outputs given, in float32.
        layout: the levels.
        jacobian: whether to return the Jacobian too.

    Returns:
        features ``[N, L * F]`` (level-major), and their Jacobian ``[N, L * F, 3]`` with respect to the positions or
        None.  Both are differentiable in positions and table, to any order.  The Jacobian is that of the cell which
        holds the point; on the faces between cells it jumps (with ``smoothstep`` it is 0 across them).  A position
        that is NaN gives NaN, and makes the table's gradient NaN in some entries.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together.
        NsrError: NSR_BACKEND asks for a body that is not here.
    """
    _check(positions, table, layout)
    reason = native_limits(positions, layout)
    body = HashEncodeNative if backend.runs_native("hash_encode", positions.device, reason) else HashEncodeTorch
    features, derivative = body.apply(positions, table, layout, jacobian)
    return features, derivative if jacobian else None


@torch.no_grad()
def hash_encode_bend(
    positions: torch.Tensor, table: torch.Tensor, layout: GridLayout, weights: torch.Tensor
) -> torch.Tensor:
    """Gradient ``[N, 3]`` in the positions of ``sum(weights * Jacobian)``, a constant.

    Args:
        positions, table, layout: as in ``hash_encode``; weights: ``[N, L * F, 3]``.

    Raises:
        ValueError, NsrError: as ``hash_encode``; or the weights are not of the Jacobian's shape.
    """
    _check(positions, table, layout)
    channels = layout.levels * layout.features
    if weights.shape != (positions.shape[0], channels, 3):
        raise ValueError(f"weights must be [{positions.shape[0]}, {channels}, 3], got {list(weights.shape)}")
    if backend.runs_native("hash_encode", positions.device, native_limits(positions, layout)):
        return position_gradient(positions, table, layout, None, weights)
    with torch.enable_grad():
        inner = positions.detach().requires_grad_()
        _, jacobian = HashEncodeTorch.apply(inner, table.detach(), layout, True)
        return torch.autograd.grad(jacobian, inner, weights)[0]


def _check(positions: torch.Tensor, table: torch.Tensor, layout: GridLayout) -> None:
    if positions.dim() != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions must be [N, 3], got {list(positions.shape)}")
    if table.dim() != 2 or tuple(table.shape) != (layout.entries, layout.features):
        raise ValueError(f"table must be [{layout.entries}, {layout.features}], got {list(table.shape)}")
    half_table = positions.dtype == torch.float32 and table.dtype == torch.float16
    if not positions.is_floating_point() or (positions.dtype != table.dtype and not half_table):
        raise ValueError(f"positions ({positions.dtype}) and table ({table.dtype}) must share one floating dtype")
    if positions.device != table.device:
        raise ValueError(f"positions are on {positions.device}, the table is on {table.device}")
