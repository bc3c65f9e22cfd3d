"""The neural Fourier filter bank."""

from __future__ import annotations

import math

import torch

from nsr.fields.encoding import Encoding, opening_weights, register_encoding
from nsr.ops.filter_bank import ACTIVATIONS, READOUTS, FilterBankParameters, filter_bank
from nsr.ops.hash_encode import GridLayout, hash_encode

BANDS = ("learned", "posenc")


@register_encoding("FFB")
class FilterBank(Encoding):
    """A sine network on the coordinate, to which grids of rising resolution add bands of rising frequency.

    Wu, Jin and Yi, "Neural Fourier Filter Bank" (CVPR 2023, arXiv 2212.01735), as published.  With ``g_i(x)`` the
    trilinear features ``[F]`` of grid level i = 0 .. L - 1 and ``u = x / bound``::

        e_i = sin(2 pi g_i B_i)                    B_i [F, W] trained, N(0, (base_sigma * exp_sigma^i)^2) at first
        h   = sin(w0 (W_0 u + b_0))
        h_i = sin(w0 (V_i h_(i-1) + b_i)) + e_i    h_(-1) = h: each sum feeds the next layer
        y   = (1/L) (A [h_0 .. h_(L-1)] + a)       readout concat
        y   = sum_i sin(w1 (A_i h_i + a_i))        readout heads
        y   = (1/L) [h_0 .. h_(L-1)]               readout levels

    and the encoding is ``(x, y)``.  There is one layer more than there are grid levels, so that every level is used.
    Weights start as SIREN's do (Sitzmann et al. 2020, section 3.2).  With readout ``levels``, a linear layer after
    this encoding makes the published network for distances, in which layer and ``concat`` are one.

    A step of the table turns the phases of a level by 2 pi sigma times as much: tables of a bank want a learning rate
    smaller by that factor than those of a plain hash grid.

    The Jacobian is carried forward through the bank with the values (``nsr.ops.filter_bank``).

    Args:
        input_dim: must be 3.
        levels: L, grid levels; the network has L + 1 layers.
        features: F per grid entry.
        log2_table, base_resolution, finest_resolution, interpolation, storage: the grid (``nsr.ops.hash_encode``).
        bound: the grid covers ``[-bound, bound]^3``.
        amplitude: table entries start uniform in ``[-amplitude, amplitude]``.
        width: W of every layer.
        outputs: channels of y (with readout ``levels`` they are L * W, whatever is given here).
        readout: how y is made of the levels.
        bands: ``learned`` as above; ``posenc`` fixes each B_i to octaves 2^0 .. 2^i, in turn sine and cosine of each
            feature, in place of a trained band.
        base_sigma, exp_sigma: of the learned bands.
        activation: ``sine``, or ``relu`` for the layers of the coordinate (with He's initialisation, without w0).
        w0, w1: frequency of the layers, and of the heads.
    """

    def __init__(
        self,
        input_dim: int = 3,
        levels: int = 5,
        features: int = 2,
        log2_table: int = 17,
        base_resolution: int = 16,
        finest_resolution: int = 512,
        interpolation: str = "linear",
        storage: str = "hash",
        bound: float = 1.0,
        amplitude: float = 1e-4,
        width: int = 64,
        outputs: int = 32,
        readout: str = "concat",
        bands: str = "learned",
        base_sigma: float = 5.0,
        exp_sigma: float = 1.2,
        activation: str = "sine",
        w0: float = 30.0,
        w1: float = 40.0,
    ):
        super().__init__()
        if input_dim != 3:
            raise ValueError(f"a filter bank encodes 3 coordinates, not {input_dim}")
        for name, value in (("bound", bound), ("w0", w0), ("w1", w1), ("base_sigma", base_sigma)):
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        for name, value in (("width", width), ("outputs", outputs)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        _choice("readout", readout, READOUTS)
        _choice("bands", bands, BANDS)
        _choice("activation", activation, ACTIVATIONS)
        self.input_dim, self.bound, self.readout, self.activation = 3, bound, readout, activation
        self.w0, self.w1 = (w0 if activation == "sine" else 1.0), w1
        self.layout = GridLayout(
            levels, features, log2_table, base_resolution, finest_resolution, interpolation, storage
        )
        self.encode_grid = hash_encode
        self.table = torch.nn.Parameter((torch.rand(self.layout.entries, features) * 2 - 1) * amplitude)
        if bands == "learned":
            sigmas = base_sigma * exp_sigma ** torch.arange(levels, dtype=torch.get_default_dtype())
            self.bands = torch.nn.Parameter(torch.randn(levels, features, width) * sigmas.view(-1, 1, 1))
            self.register_buffer("phase", torch.zeros(levels, 1, width), persistent=False)
        else:
            octaves, phase = _octaves(levels, features, width)
            self.register_buffer("bands", octaves, persistent=False)
            self.register_buffer("phase", phase, persistent=False)
        self.layers = torch.nn.ModuleList(
            self._siren(3 if layer == 0 else width, width, layer == 0) for layer in range(levels + 1)
        )
        if readout == "concat":
            self.head = _sine_linear(levels * width, outputs, math.sqrt(6 / width) / w0)
        elif readout == "heads":
            self.heads = torch.nn.ModuleList(
                _sine_linear(width, outputs, math.sqrt(6 / width) / w1) for _ in range(levels)
            )
        else:
            outputs = levels * width
        self.channels = 3 + outputs
        self.levels = levels
        self.register_buffer("weights", torch.ones(levels), persistent=False)

    def _siren(self, inputs: int, outputs: int, first: bool) -> torch.nn.Linear:
        if self.activation == "relu":
            return _sine_linear(inputs, outputs, math.sqrt(6 / inputs))
        return _sine_linear(inputs, outputs, 1 / inputs if first else math.sqrt(6 / inputs) / self.w0)

    def set_progress(self, progress: float) -> None:
        """Weighs what is read out of each level: h_i holds bands 0 to i and no other, so the bank need not know."""
        self.weights.copy_(opening_weights(progress, self.layout.levels))

    def table_parameters(self) -> list[torch.nn.Parameter]:
        return [self.table]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, _ = self._bank(x, *self._grid(x, jacobian=False))
        return torch.cat([x, value], dim=1)

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value, jacobian = self._bank(x, *self._grid(x, jacobian=True))
        identity = torch.eye(3, dtype=x.dtype, device=x.device).expand(x.shape[0], -1, -1)
        return torch.cat([x, value], dim=1), torch.cat([identity, jacobian], dim=1)

    def _grid(self, x: torch.Tensor, jacobian: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Grid features ``[N, L * F]`` and their Jacobian in x ``[N, L * F, 3]`` or None."""
        unit = (x + self.bound) / (2 * self.bound)
        features, derivative = self.encode_grid(unit, self.table, self.layout, jacobian=jacobian)
        return features, derivative / (2 * self.bound) if jacobian else None

    def _bank(
        self, x: torch.Tensor, grid: torch.Tensor, grid_jacobian: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The readout ``[N, outputs]`` and its Jacobian ``[N, outputs, 3]`` or None."""
        return filter_bank(x, grid, grid_jacobian, self.operator_parameters())

    def operator_parameters(self) -> FilterBankParameters:
        """What ``nsr.ops.filter_bank`` takes; differentiable in the parameters of this encoding."""
        head_weight = head_bias = None
        if self.readout == "concat":
            head_weight, head_bias = self.head.weight, self.head.bias
        elif self.readout == "heads":
            head_weight = torch.stack([head.weight for head in self.heads])
            head_bias = torch.stack([head.bias for head in self.heads])
        first, *others = self.layers
        return FilterBankParameters(
            bands=self.bands,
            phase=self.phase.squeeze(1),
            first_weight=first.weight,
            weights=torch.stack([layer.weight for layer in others]),
            biases=torch.stack([layer.bias for layer in self.layers]),
            head_weight=head_weight,
            head_bias=head_bias,
            shares=self.weights,
            readout=self.readout,
            activation=self.activation,
            w0=self.w0,
            w1=self.w1,
            bound=self.bound,
        )


def _choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}; known are {', '.join(known)}")


def _sine_linear(inputs: int, outputs: int, limit: float) -> torch.nn.Linear:
    """Weights uniform in ``[-limit, limit]``, biases as torch starts them."""
    layer = torch.nn.Linear(inputs, outputs)
    torch.nn.init.uniform_(layer.weight, -limit, limit)
    return layer


def _octaves(levels: int, features: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fixed bands ``[L, F, W]`` and phases ``[L, 1, W]``: column j looks at one feature in one octave."""
    bands, phase = torch.zeros(levels, features, width), torch.zeros(levels, 1, width)
    for level in range(levels):
        for column in range(width):
            wave, feature = divmod(column, features)
            octave, quarter = divmod(wave, 2)
            bands[level, feature, column] = 2.0 ** (octave % (level + 1))
            phase[level, 0, column] = quarter * math.pi / 2
    return bands, phase
