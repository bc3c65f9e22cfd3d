"""The encodings on grids, computed by tiny-cuda-nn where it is installed: the same functions of the same tables."""

from __future__ import annotations

from nsr.fields.encoding import register_encoding
from nsr.fields.filter_bank import FilterBank
from nsr.fields.hash_grid import MultiResolutionHashGrid
from nsr.fields.tcnn import TcnnGrid


@register_encoding("HashGridTcnn")
class TcnnHashGrid(MultiResolutionHashGrid):
    """``MultiResHash``, its options and its state, on ``nsr.fields.tcnn`` (Mueller et al. 2022)."""

    def __init__(self, input_dim: int = 3, **options):
        super().__init__(input_dim, **options)
        self.encode_grid = TcnnGrid(self.layout)


@register_encoding("FFB_TCNN")
class TcnnFilterBank(FilterBank):
    """``FFB``, its options and its state, with its grid on ``nsr.fields.tcnn`` (Wu et al. 2023)."""

    def __init__(self, input_dim: int = 3, **options):
        super().__init__(input_dim, **options)
        self.encode_grid = TcnnGrid(self.layout)
