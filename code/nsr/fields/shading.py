"""A radiance field that takes colour apart: albedo, light in spherical harmonics, and what these leave."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nsr.config.schema import RenderingNetworkConfig
from nsr.fields.encoding import Encoding
from nsr.fields.linear import default_linear
from nsr.fields.radiance import ColourField
from nsr.fields.spherical_harmonics import SphericalHarmonics

_BANDS = 3  # of the light: 9 coefficients, which hold 99 % of what a matt surface shows (Ramamoorthi, Hanrahan 2001)
_FIRST_RESIDUE = 0.1  # factor on the residue's last layer, so that light begins where it belongs


@dataclass
class Decomposition:
    """What N colours are made of, linear in the photographs' values, ``[N, 3]`` each.

    Attributes:
        albedo: in [0, 1]; shading: of the normal under the light; residue: what else reaches the camera, as shading
            (highlights, shadows, light that is not far away).
    """

    albedo: torch.Tensor
    shading: torch.Tensor
    residue: torch.Tensor

    @property
    def rgb(self) -> torch.Tensor:
        """``albedo (shading + residue)`` in [-1, 1].

        The cut at black and white passes gradients on as if it were not there: a colour that is too bright still
        learns to be darker.
        """
        colour = self.albedo * (self.shading + self.residue)
        return 2 * (colour + (colour.clamp(0, 1) - colour).detach()) - 1


class ShadingField(ColourField):
    """RGB as ``albedo(x) (SH(n) + residue(x, v))``, the model of SfSNet (Sengupta et al. 2018) with a residue
    (Nestmeyer and Gehler 2017; Sengupta et al. 2019) that depends on the view.

    The light is one set of second-order spherical harmonics for the scene, in its normalised frame, and learned with
    the rest.  Albedo and residue are ReLU networks of the point and the SDF's feature, the residue's of the view
    direction too; neither sees the normal, so that what changes with it is light.  Albedo and light are known up to
    a factor a channel, unless something else decides it.

    Args:
        config: widths, of both networks; feature_size: F of the SDF field.
        view_encoding: of the view directions, for the residue.
        position_encoding: of the points, this field's own; None takes x as it is.

    Attributes:
        harmonics: ``[9, 3]`` parameter, the shading's coefficients in the order of ``SphericalHarmonics`` (the cosine
            lobe is in them): RGB light; replace it to see the object in another.
    """

    def __init__(
        self,
        config: RenderingNetworkConfig,
        feature_size: int,
        view_encoding: Encoding,
        position_encoding: Encoding | None = None,
    ):
        super().__init__(feature_size, view_encoding, position_encoding)
        inputs = (position_encoding.channels if position_encoding else 3) + feature_size
        self.albedo_network = _relu_network([inputs, *config.dims, 3], config.weight_norm)
        self.residue_network = _relu_network([inputs + view_encoding.channels, *config.dims, 3], config.weight_norm)
        harmonics = torch.zeros(_BANDS**2, 3)
        harmonics[0] = math.sqrt(4 * math.pi)  # shading 1 everywhere
        self.harmonics = torch.nn.Parameter(harmonics)
        self.basis = SphericalHarmonics(degree=_BANDS)

    def forward(
        self, points: torch.Tensor, directions: torch.Tensor, normals: torch.Tensor, features: torch.Tensor
    ) -> torch.Tensor:
        """RGB ``[N, 3]`` in [-1, 1]; arguments as of ``decompose``."""
        return self.decompose(points, directions, normals, features).rgb

    def decompose(
        self, points: torch.Tensor, directions: torch.Tensor, normals: torch.Tensor, features: torch.Tensor
    ) -> Decomposition:
        """What the colours are made of.

        Args:
            points: ``[N, 3]``; directions: ``[N, 3]`` unit, from the camera to the point; normals: ``[N, 3]``, the
                raw gradient of the SDF, of which the direction counts; features: ``[N, F]``.  Differentiable in all
                of them, twice in the normals.
        """
        place = torch.cat([self.position_encoding(points) if self.position_encoding else points, features], dim=1)
        albedo = torch.sigmoid(self.albedo_network(place))
        residue = _FIRST_RESIDUE * self.residue_network(torch.cat([place, self.encode_directions(directions)], dim=1))
        return Decomposition(albedo, self.shading(normals), residue)

    def shading(self, normals: torch.Tensor) -> torch.Tensor:
        """Shading ``[N, 3]`` of normals ``[N, 3]`` of any length, by the light alone."""
        unit = torch.nn.functional.normalize(normals, dim=1)
        return self.basis(unit)[:, 3:] @ self.harmonics  # the encoding puts the direction itself first


def _relu_network(widths: list[int], weight_norm: bool) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [default_linear(inputs, outputs, weight_norm), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])
