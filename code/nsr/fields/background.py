"""What lies outside the bounding sphere: a density and a colour over inverted-sphere coordinates."""

from __future__ import annotations

import torch

from nsr.config.schema import BackgroundConfig
from nsr.fields.encoding import make_encoding
from nsr.fields.linear import default_linear
from nsr.fields.radiance import bounded_colour


def invert_sphere(points: torch.Tensor) -> torch.Tensor:
    """``[N, 3]`` points outside the unit sphere to the shell between radius 1/2 (the sphere) and 1 (infinity).

    ``x / r (1 - 1 / (2 r))``: direction and inverse radius, as NeRF++ has them (Zhang et al. 2020, section 4), in three
    coordinates (the contraction of mip-NeRF 360, Barron et al. 2022, eq. 10, halved).
    """
    radius = points.norm(dim=1, keepdim=True).clamp_min(1.0)
    return points / radius * (1 - 0.5 / radius)


class BackgroundField(torch.nn.Module):
    """Density and colour outside the unit sphere: an encoding and a small ReLU network.

    Args:
        config: encodings, layer widths and samples along a ray.

    Attributes:
        samples: along a ray.
        colour_margin: how far colours may lie beyond black and white, see ``bounded_colour``.
        view_dependent: as of ``nsr.fields.radiance.ColourField``.
    """

    def __init__(self, config: BackgroundConfig):
        super().__init__()
        self.samples = config.samples
        self.colour_margin = config.colour_margin
        self.view_dependent = True
        self.encoding = make_encoding(config.encoding)
        self.view_encoding = make_encoding(config.view_encoding)
        width = config.dims[-1]
        widths = [self.encoding.channels, *config.dims]
        self.hidden = torch.nn.ModuleList(default_linear(a, b, False) for a, b in zip(widths, widths[1:]))
        self.density_head = default_linear(width, 1, False)
        self.colour_hidden = default_linear(width + self.view_encoding.channels, width, False)
        self.colour_head = default_linear(width, 3, False)

    def forward(self, points: torch.Tensor, directions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Density ``[N]``, not negative, per unit of inverse radius, and colour ``[N, 3]`` in [-1, 1], or beyond it by
        up to ``config.colour_margin``.

        Args:
            points: ``[N, 3]`` on or outside the unit sphere; directions: ``[N, 3]`` unit, from the camera.
                Differentiable in both.
        """
        hidden = self.encoding(invert_sphere(points))
        for layer in self.hidden:
            hidden = torch.relu(layer(hidden))
        density = torch.nn.functional.softplus(self.density_head(hidden).squeeze(1))
        seen = self.view_encoding(directions if self.view_dependent else torch.zeros_like(directions))
        hidden = torch.relu(self.colour_hidden(torch.cat([hidden, seen], dim=1)))
        return density, bounded_colour(self.colour_head(hidden), self.colour_margin)

    def table_parameters(self) -> list[torch.nn.Parameter]:
        return self.encoding.table_parameters() + self.view_encoding.table_parameters()
