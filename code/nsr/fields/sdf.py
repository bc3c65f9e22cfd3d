"""The signed distance field: an encoding and a softplus network, with its gradient in closed form.

Yariv et al., "Multiview Neural Surface Reconstruction by Disentangling Geometry and Appearance" (2020), appendix B;
geometric initialisation after Atzmon and Lipman, "SAL" (2020), theorem 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nsr.config.schema import ImplicitNetworkConfig
from nsr.errors import ConfigError
from nsr.fields.clamp import LaplaceClamp
from nsr.fields.encoding import Encoding
from nsr.fields.hash_grid import MultiResolutionHashGrid
from nsr.fields.linear import default_linear, make_linear
from nsr.fields.softplus_network import SoftplusNetwork
from nsr.ops.field_value import field_value
from nsr.ops.grid_network import GridNetwork
from nsr.ops.hash_encode import hash_encode


@dataclass
class SurfaceGeometry:
    """The field at N points, and how it changes along a ray at S of them.

    Attributes:
        sdf: ``[N]``; gradient: ``[N, 3]``, not normalised; feature: ``[S, F]``, at the S points alone.  Differentiable
            in the parameters and in the points.
        gradient_along, feature_along: ``[S, 3]`` and ``[S, F]`` derivatives of gradient and feature along the
            directions, in units of the normalised frame; constants.
    """

    sdf: torch.Tensor
    gradient: torch.Tensor
    feature: torch.Tensor
    gradient_along: torch.Tensor
    feature_along: torch.Tensor


class SDFField(torch.nn.Module):
    """A signed distance (negative inside, in units of the normalised frame) and a feature at every point.

    The gradient is computed by a reverse pass that is itself made of differentiable operations: a loss on it costs
    one ordinary backward pass, and no operator needs a double backward.

    Args:
        encoding: of the positions; its first channels must be x itself.
        config: layer widths, skips, initial radius.
        feature_size: F, width of the feature for the radiance network (0: none).
    """

    def __init__(self, encoding: Encoding, config: ImplicitNetworkConfig, feature_size: int):
        super().__init__()
        self.encoding = encoding
        self.skip_in = tuple(config.skip_in)
        self.beta = config.softplus_beta
        self.radius = config.bias
        widths = [encoding.channels, *config.dims, 1 + feature_size]
        self.layer_count = len(widths) - 1
        for layer in self.skip_in:
            if not 0 < layer < self.layer_count:
                raise ConfigError(f"skip_in names layer {layer}; there are layers 1 to {self.layer_count - 1}")
            if widths[layer] <= encoding.channels:
                raise ConfigError(
                    f"skip_in at layer {layer}: its width {widths[layer]} must exceed the encoding's "
                    f"{encoding.channels} channels"
                )
        for layer in range(self.layer_count):
            inputs, outputs = widths[layer], widths[layer + 1]
            if layer + 1 in self.skip_in:
                outputs -= encoding.channels
            if config.geometric_init:
                linear = self._geometric_layer(layer, inputs, outputs, config)
            else:
                linear = default_linear(inputs, outputs, config.weight_norm)
            self.add_module(f"lin{layer}", linear)
        self.clamp = LaplaceClamp(config.clamp_beta) if config.clamp else None

    def _geometric_layer(self, layer, inputs, outputs, config):
        extra = self.encoding.channels - 3
        bias = torch.zeros(outputs)
        if layer == self.layer_count - 1:
            weight = math.sqrt(math.pi) / math.sqrt(inputs) + 1e-4 * torch.randn(outputs, inputs)
            bias = bias - config.bias
        else:
            weight = math.sqrt(2) / math.sqrt(outputs) * torch.randn(outputs, inputs)
            if layer == 0:
                weight[:, 3:] = 0
            elif layer in self.skip_in and extra:
                weight[:, -extra:] = 0
        return make_linear(weight, bias, config.weight_norm)

    def _layer(self, index: int) -> torch.nn.Module:
        return getattr(self, f"lin{index}")

    def _network(self) -> SoftplusNetwork:
        layers = [self._layer(layer) for layer in range(self.layer_count)]
        return SoftplusNetwork(
            [layer.weight for layer in layers], [layer.bias for layer in layers], self.skip_in, self.beta
        )

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Signed distance ``[N]`` at ``x [N, 3]``: no gradient, no feature head. Differentiable in x and parameters.

        Under ``torch.no_grad`` a small network on a hash grid is evaluated by one operator (``nsr.ops.field_value``).
        """
        if not torch.is_grad_enabled() and (network := self.grid_network()) is not None:
            return field_value(network, x)
        network = self._network()
        hidden, _ = network.trunk(self.encoding(x))
        sdf = network.head(hidden, slice(1)).squeeze(1)
        return sdf if self.clamp is None else self.clamp(sdf)

    def grid_network(self) -> GridNetwork | None:
        """What ``value`` computes, as plain tensors, where it is a network without skips on a hash grid, else None."""
        grid = self.encoding
        if not isinstance(grid, MultiResolutionHashGrid) or grid.encode_grid is not hash_encode:
            return None
        if self.skip_in or self.clamp is not None or self.layer_count < 2:
            return None
        network = self._network()
        weights = (*network.weights[:-1], network.weights[-1][:1])
        biases = (*network.biases[:-1], network.biases[-1][:1])
        return GridNetwork(grid.layout, grid.table, grid.weights, grid.bound, weights, biases, self.beta)

    def geometry(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Signed distance ``[N]``, its gradient ``[N, 3]`` (not normalised) and the feature ``[N, F]``.

        All three are differentiable in the parameters and in x.
        """
        network = self._network()
        encoded, jacobian = self.encoding.with_jacobian(x)
        hidden, activations = network.trunk(encoded)
        output = network.head(hidden)
        sdf, gradient = self._clamped(output[:, 0], _contract(network.adjoint(activations), jacobian))
        return sdf, gradient, output[:, 1:]

    def surface_geometry(self, x: torch.Tensor, surface: torch.Tensor, directions: torch.Tensor) -> SurfaceGeometry:
        """``geometry`` at all of ``x [N, 3]``, and at some of them how it changes along a ray.

        Args:
            x: ``[N, 3]``; surface: ``[S]`` int64, rows of x; directions: ``[S, 3]``.
        """
        network = self._network()
        encoded, jacobian = self.encoding.with_jacobian(x)
        hidden, activations = network.trunk(encoded)
        unclamped = network.head(hidden, slice(1)).squeeze(1)
        sdf, gradient = self._clamped(unclamped, _contract(network.adjoint(activations), jacobian))
        feature = network.head(hidden[surface], slice(1, None))
        with torch.no_grad():
            there = jacobian[surface]
            motion = (there * directions.unsqueeze(1)).sum(-1)
            adjoint, change, outputs = network.along([rows[surface] for rows in activations], motion)
            bend = self.encoding.bend(x[surface], adjoint, directions)
            along = _contract(change, there) + bend
            if self.clamp is not None:
                slope, curvature = self.clamp.slopes(unclamped[surface])
                bend = (curvature * outputs[:, 0]).unsqueeze(1)
                along = along * slope.unsqueeze(1) + _contract(adjoint, there) * bend
        return SurfaceGeometry(sdf, gradient, feature, along, outputs[:, 1:])

    def _clamped(self, sdf: torch.Tensor, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.clamp is None:
            return sdf, gradient
        sdf, slope = self.clamp.with_slope(sdf)
        return sdf, gradient * slope.unsqueeze(1)

    def uses_encoding(self) -> bool:
        """Whether any layer has a weight for the encoding's channels beyond x: not so after a geometric start."""
        extra = self.encoding.channels - 3
        layers = (self._layer(0), *(self._layer(layer) for layer in self.skip_in))
        return extra > 0 and any(bool(layer.weight[:, -extra:].any()) for layer in layers)

    @torch.no_grad()
    def solve_last_layer(self, x: torch.Tensor, target: torch.Tensor, ridge: float = 1e-3) -> None:
        """Fit the SDF row of the last layer to ``target [N]`` at ``x [N, 3]`` by ridge regression about its start."""
        last = self._layer(self.layer_count - 1)
        hidden = self._network().trunk(self.encoding(x))[0].double()
        design = torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)
        start = torch.cat([last.weight[0], last.bias[:1]]).double()
        normal = design.T @ design / len(x)
        normal = normal + ridge * normal.diagonal().mean() * torch.eye(len(normal), dtype=normal.dtype).to(normal)
        change = torch.linalg.solve(normal, design.T @ (target.double() - design @ start) / len(x))
        solved = (start + change).to(x.dtype)
        if hasattr(last, "weight_g"):
            last.weight_v[0] = solved[:-1]
            last.weight_g[0] = solved[:-1].norm()
        else:
            last.weight[0] = solved[:-1]
        last.bias[0] = solved[-1]

    def table_parameters(self) -> list[torch.nn.Parameter]:
        return self.encoding.table_parameters()

    def set_progress(self, progress: float) -> None:
        self.encoding.set_progress(progress)


def _contract(adjoint: torch.Tensor, jacobian: torch.Tensor) -> torch.Tensor:
    """``[N, C]`` times ``[N, C, 3]`` to ``[N, 3]``."""
    return torch.bmm(adjoint.unsqueeze(1), jacobian).squeeze(1)
