"""Values of a signed distance network on a hash grid, without gradients: encoding and layers in one operator."""

from __future__ import annotations

import torch

from nsr.ops import backend
from nsr.ops.grid_network import GridNetwork
from nsr.ops.hash_encode import hash_encode


@torch.no_grad()
def field_value(network: GridNetwork, positions: torch.Tensor) -> torch.Tensor:
    """Evaluate a network.

    Args:
        network: grid and layers.
        positions: ``[N, 3]`` in the frame of the network; beyond its bound the grid's features are those of its
            border.

    Returns:
        ``[N]``, in the positions' dtype and without a graph.  A position that is NaN gives NaN.  The bodies agree
        within 2e-6 of the largest of the values and the last bias.

    Raises:
        ValueError: positions of another shape, or on another device than the network.
        NsrError: NSR_BACKEND asks for a body that is not here.
    """
    if positions.dim() != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions must be [N, 3], got {list(positions.shape)}")
    if positions.device != network.table.device:
        raise ValueError(f"positions are on {positions.device}, the network is on {network.table.device}")
    if backend.runs_native("field_value", positions.device, network.native_limits(positions)):
        return torch.ops.nsr.field_value(positions.contiguous(), *network.native_arguments())
    return field_value_torch(network, positions)


def field_value_torch(network: GridNetwork, positions: torch.Tensor) -> torch.Tensor:
    """The same in PyTorch operations, differentiable in the positions and in all that the network is made of."""
    unit = (positions + network.bound) / (2 * network.bound)
    features, _ = hash_encode(unit, network.table, network.layout)
    hidden = torch.cat([positions, features * network.level_weights], dim=1)
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        hidden = torch.nn.functional.linear(hidden, weight, bias)
        hidden = torch.nn.functional.softplus(hidden, beta=network.beta)
    return torch.nn.functional.linear(hidden, network.weights[-1], network.biases[-1]).squeeze(1)
