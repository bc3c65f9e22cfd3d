"""Style modulation of the filter bank."""

from __future__ import annotations

import math

import torch

from nsr.fields.encoding import register_encoding
from nsr.fields.filter_bank import FilterBank
from nsr.ops import backend
from nsr.ops.dual import Dual
from nsr.ops.filter_bank import filter_bank_reference

EPSILON = 1e-8  # beside squared norms of bands, which are of the order of base_sigma^2


@register_encoding("FFB_StyleMod")
class StyleModulatedFilterBank(FilterBank):
    """A filter bank whose bands are modulated, demodulated and weighed against each other, each by the position.

    The first layer's output ``c(x)`` is the content.  It styles every level's band matrix as StyleGAN2 styles the
    weights of a layer (Karras et al. 2020, eq. 1 and 3)::

        s_i = exp(tanh(S_i c + t_i))                               [F]: one factor per grid feature
        z_ij = sum_f s_if g_if B_ifj * |B_i.j| / |s_i B_i.j|       modulated, demodulated
        e_i = sin(2 pi z_i)

    so that the style turns each band's direction in the space of grid features from place to place while its
    demodulated norm, which is the frequency of the band, stays what it is.  Then the levels compete by attention
    (Vaswani et al. 2017, eq. 1) with a query from the content and keys from the bands::

        a = softmax_i(q . k_i / sqrt(A)),   q = Q c,   k_i = K_i e_i + kappa_i
        e_i <- L a_i e_i

    which lets the field choose, at every point, which frequencies it uses.  The bank then runs on these ``e_i`` as
    published.  With equal styles and equal attention it is ``FFB`` itself, whose options it shares; a style needs
    learned bands and at least two features per level.  Its bands run as plain PyTorch, which the "nsr" logger says
    once.

    Args:
        attention: A, the width of queries and keys.
    """

    def __init__(self, input_dim: int = 3, attention: int = 16, **options):
        super().__init__(input_dim, **options)
        if self.layout.features < 2:
            raise ValueError("style modulation mixes the features of a level: it needs features = 2 or more")
        if not isinstance(self.bands, torch.nn.Parameter):
            raise ValueError("style modulation needs bands = learned: a fixed band looks at one feature alone")
        if attention < 1:
            raise ValueError(f"attention must be at least 1, got {attention}")
        levels, features, width = self.bands.shape
        self.style = torch.nn.Parameter(torch.randn(levels, width, features) / math.sqrt(width))
        self.style_bias = torch.nn.Parameter(torch.zeros(levels, 1, features))
        self.query = torch.nn.Linear(width, attention, bias=False)
        self.key = torch.nn.Parameter(torch.randn(levels, width, attention) / math.sqrt(width))
        # Small: it starts close to equal attention, which is the published bank.
        self.key_bias = torch.nn.Parameter(0.1 * torch.randn(levels, 1, attention))

    def _bank(self, x, grid, grid_jacobian):
        if backend.forced() != "torch":
            backend.say_once("style modulation is not compiled: the bands of FFB_StyleMod run as plain PyTorch")
        return filter_bank_reference(x, grid, grid_jacobian, self.operator_parameters(), embed=self._embeddings)

    def _embeddings(self, grid: Dual, content: Dual) -> Dual:
        """The bands: value ``[L, N, W]``; ``content`` ``[N, W]`` is the first layer's output."""
        content = _for_every_level(content)
        bands = self._styled_bands(grid, content).scaled(2 * math.pi).sine()
        return bands * self._attention(bands, content).scaled(self.layout.levels)

    def _styled_bands(self, grid: Dual, content: Dual) -> Dual:
        """The phases ``z_i``, in periods: value ``[L, N, W]``."""
        style = content.matmul(self.style).plus(self.style_bias).tanh().exp()
        modulated = (style * grid).matmul(self.bands)
        squares = self.bands.square()
        norm = squares.sum(1, keepdim=True) + EPSILON
        demodulation = (style * style).matmul(squares).plus(EPSILON).scaled(1 / norm).power(-0.5)
        return modulated * demodulation

    def _attention(self, bands: Dual, content: Dual) -> Dual:
        """The levels' shares: value ``[L, N, 1]``, summing to 1 over the levels."""
        query = content.matmul(self.query.weight.t())
        keys = bands.matmul(self.key).plus(self.key_bias)
        scores = (query * keys).sum(-1, keepdim=True).scaled(1 / math.sqrt(self.query.out_features))
        return scores.softmax(-3)


def _for_every_level(content: Dual) -> Dual:
    """``[N, W]`` to ``[1, N, W]``, which broadcasts over levels."""
    return Dual(content.value.unsqueeze(0), content.tangent.unsqueeze(1) if content.tangent is not None else None)
