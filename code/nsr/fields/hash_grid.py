"""Multiresolution hash grid as an encoding of positions in [-1, 1]^3."""

from __future__ import annotations

import torch

from nsr.fields.encoding import Encoding, opening_weights, register_encoding
from nsr.ops.hash_encode import GridLayout, hash_encode, hash_encode_bend


@register_encoding("MultiResHash")
class MultiResolutionHashGrid(Encoding):
    """``(x, features of L grids, interpolated)`` (Mueller et al. 2022); see ``nsr.ops.hash_encode``.

    Args:
        input_dim: must be 3.
        levels, features, log2_table, base_resolution, finest_resolution: the grid; resolutions are along the whole
            of ``[-bound, bound]``.
        interpolation: ``linear``, or ``smoothstep``, whose gradient is continuous between cells.
        storage: of a level larger than the table: ``hash``, or ``tiled``, a dense grid that repeats itself.
        bound: the grid covers ``[-bound, bound]^3``.
        amplitude: table entries start uniform in ``[-amplitude, amplitude]``.
    """

    def __init__(
        self,
        input_dim: int = 3,
        levels: int = 10,
        features: int = 2,
        log2_table: int = 17,
        base_resolution: int = 16,
        finest_resolution: int = 512,
        interpolation: str = "linear",
        storage: str = "hash",
        bound: float = 1.0,
        amplitude: float = 1e-4,
    ):
        super().__init__()
        if input_dim != 3:
            raise ValueError(f"a hash grid encodes 3 coordinates, not {input_dim}")
        if bound <= 0:
            raise ValueError(f"bound must be positive, got {bound}")
        self.input_dim, self.bound = 3, bound
        self.layout = GridLayout(
            levels, features, log2_table, base_resolution, finest_resolution, interpolation, storage
        )
        self.encode_grid = hash_encode
        self.channels = 3 + levels * features
        self.levels = levels
        self.table = torch.nn.Parameter((torch.rand(self.layout.entries, features) * 2 - 1) * amplitude)
        self.register_buffer("weights", torch.ones(levels * features), persistent=False)
        self.progress = 1.0

    def set_progress(self, progress: float) -> None:
        self.progress = progress
        self.weights.copy_(opening_weights(progress, self.layout.levels).repeat_interleave(self.layout.features))

    def table_parameters(self) -> list[torch.nn.Parameter]:
        return [self.table]

    def _unit(self, x: torch.Tensor) -> torch.Tensor:
        return (x + self.bound) / (2 * self.bound)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features, _ = self.encode_grid(self._unit(x), self.table, self.layout)
        return torch.cat([x, features * self.weights], dim=1)

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features, jacobian = self.encode_grid(self._unit(x), self.table, self.layout, jacobian=True)
        jacobian = jacobian * (self.weights / (2 * self.bound)).unsqueeze(-1)
        identity = torch.eye(3, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)
        return torch.cat([x, features * self.weights], dim=1), torch.cat([identity, jacobian], dim=1)

    def bend(self, x: torch.Tensor, adjoint: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        scale = self.weights / (2 * self.bound) ** 2
        weights = (adjoint[:, 3:] * scale).unsqueeze(-1) * directions.unsqueeze(1)
        return hash_encode_bend(self._unit(x), self.table, self.layout, weights)

    def open_cell(self) -> float:
        """Edge of a cell of the finest open level, in units of the positions; between two levels as they open."""
        scales = self.layout.scales
        level = min(max(self.progress, 0.0), 1.0) * (len(scales) - 1)
        lower = int(level)
        upper = min(lower + 1, len(scales) - 1)
        return 2 * self.bound / max(scales[lower] + (level - lower) * (scales[upper] - scales[lower]), 1.0)

    def level_decay(self, points: torch.Tensor) -> torch.Tensor:
        """Mean squared feature about ``points [N, 3]``, each level's in proportion to its resolution: a scalar.

        Weight decay where it acts, at the entries in use, and most on the finest level: the next coarser ones then
        explain what they can.  The mean is over points and features, the weight of the finest level is 1.
        Differentiable in the table.
        """
        features, _ = self.encode_grid(self._unit(points), self.table, self.layout)
        resolutions = torch.tensor(self.layout.resolutions, dtype=points.dtype, device=points.device)
        weights = (resolutions / resolutions[-1]).repeat_interleave(self.layout.features)
        return (features.square() * weights).mean()

    def total_variation(self, points: torch.Tensor) -> torch.Tensor:
        """Mean squared difference of neighbouring table entries about ``points [N, 3]``: a loss term, a scalar.

        On each level the differences along the three axes are summed, interpolated between the edges of the cell
        that holds the point; the mean is over points, levels and features.  With linear interpolation the
        difference along an edge is the derivative there in units of cells, so the Jacobian holds them all; with
        smoothstep the middle of a cell weighs up to 1.5 squared as much.  (The total variation of Rudin et al. 1992
        with squares in place of absolute values, as grids commonly take it.)
        Differentiable in the table, which is what it is for.
        """
        _, jacobian = self.encode_grid(self._unit(points), self.table, self.layout, jacobian=True)
        # A level of a single vertex has scale 0 and no neighbours: its Jacobian is 0.
        scales = torch.tensor(self.layout.scales, dtype=points.dtype, device=points.device).clamp_min(1e-6)
        per_level = jacobian.view(points.shape[0], self.layout.levels, -1, 3) / scales.view(1, -1, 1, 1)
        return per_level.square().sum(-1).mean()
