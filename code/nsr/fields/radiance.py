"""Radiance fields: colour of a surface point seen from a direction (IDR, section 3.2)."""

from __future__ import annotations

import torch

from nsr.config.schema import RenderingNetworkConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import Encoding
from nsr.fields.linear import default_linear
from nsr.schedules import ramp

MODES = ("idr", "no_view_dir", "no_normal", "reflection")
SHADING_MODE = "shading"  # a field of its own, see nsr.fields.shading
FADE = 0.1  # of the levels' opening, in which reflected directions come in


class ColourField(torch.nn.Module):
    """What every field of colours has: ``field(points, directions, normals, features) -> rgb [N, 3]``, black at -1 and
    white at 1; a field may go beyond, and pictures are cut.

    Attributes:
        feature_size: F of the SDF's features that it takes.
        view_encoding: of the view directions, or None where it does not look at them.
        position_encoding: of the points, the field's own; None takes x as it is.
        view_dependent: whether colours may differ with the direction; where not, all directions are taken for 0.
        reflects: whether reflected directions are seen by a field that looks at them; where not, their encoding is 0.
    """

    def __init__(self, feature_size: int, view_encoding: Encoding | None, position_encoding: Encoding | None):
        super().__init__()
        self.feature_size = feature_size
        self.view_encoding = view_encoding
        self.position_encoding = position_encoding
        self.view_dependent = True
        self.reflects = True

    def encode_directions(self, directions: torch.Tensor) -> torch.Tensor:
        """Of unit directions ``[N, 3]``, what the network sees of them."""
        return self.view_encoding(directions if self.view_dependent else torch.zeros_like(directions))

    def table_parameters(self) -> list[torch.nn.Parameter]:
        encodings = [encoding for encoding in (self.view_encoding, self.position_encoding) if encoding]
        return [parameter for encoding in encodings for parameter in encoding.table_parameters()]

    def set_progress(self, progress: float) -> None:
        if self.position_encoding:
            self.position_encoding.set_progress(progress)


class RadianceField(ColourField):
    """A ReLU network from (point, view direction, normal, feature) to RGB.

    Modes: ``idr`` takes all of them, ``no_view_dir`` leaves out the direction, ``no_normal`` the normal; a feature
    of size 0 is IDR's fourth, "no feature".  ``reflection`` takes all of them and the direction from which light is
    mirrored into the camera: what a lamp far away does to a glossy surface is a function of that alone, and need not
    be explained by dents (Verbin et al., "Ref-NeRF", 2022, section 3.1, where it replaces the view direction).  While
    the shape is coarse it is better explained without: reflected directions fade in from ``config.reflection_from`` of
    the levels' opening on.

    Args:
        config: mode and widths.
        feature_size: F of the SDF field.
        view_encoding: of the view directions.
        position_encoding: of the points, the radiance field's own; None takes x as it is.

    Attributes:
        reflection_weight: of the reflected direction's encoding, in [0, 1].
        colour_margin: how far colours may lie beyond black and white, see ``bounded_colour``.
    """

    def __init__(
        self,
        config: RenderingNetworkConfig,
        feature_size: int,
        view_encoding: Encoding,
        position_encoding: Encoding | None = None,
    ):
        if config.mode not in MODES:
            known = ", ".join((*MODES, SHADING_MODE))
            raise ConfigError(f"rendering_network.mode is {config.mode!r}; known are {known}")
        super().__init__(feature_size, view_encoding if config.mode != "no_view_dir" else None, position_encoding)
        self.mode = config.mode
        self.reflection_from = config.reflection_from
        self.reflection_weight = 1.0
        self.colour_margin = config.colour_margin
        inputs = (position_encoding.channels if position_encoding else 3) + feature_size
        inputs += self.view_encoding.channels if self.view_encoding else 0
        inputs += 3 if config.mode != "no_normal" else 0
        inputs += view_encoding.channels if config.mode == "reflection" else 0
        widths = [inputs, *config.dims, 3]
        self.layer_count = len(widths) - 1
        for layer in range(self.layer_count):
            self.add_module(f"lin{layer}", default_linear(widths[layer], widths[layer + 1], config.weight_norm))

    def set_progress(self, progress: float) -> None:
        super().set_progress(progress)
        if self.reflection_from:
            self.reflection_weight = ramp(progress, min(self.reflection_from + FADE, 1.0), self.reflection_from)

    def _encode_reflected(self, directions: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
        if not (self.reflects and self.reflection_weight):
            return directions.new_zeros(len(directions), self.view_encoding.channels)
        return self.reflection_weight * self.encode_directions(reflected(directions, normals))

    def forward(
        self, points: torch.Tensor, directions: torch.Tensor, normals: torch.Tensor, features: torch.Tensor
    ) -> torch.Tensor:
        """RGB ``[N, 3]``, white at 1 and black at -1, or beyond by up to ``config.colour_margin``.

        Args:
            points: ``[N, 3]``; directions: ``[N, 3]`` unit, from the camera to the point; normals: ``[N, 3]``, the
                raw gradient of the SDF; features: ``[N, F]``.  Differentiable in all of them.
        """
        inputs = [self.position_encoding(points) if self.position_encoding else points]
        if self.view_encoding:
            inputs.append(self.encode_directions(directions))
        if self.mode == "reflection":
            inputs.append(self._encode_reflected(directions, normals))
        if self.mode != "no_normal":
            inputs.append(normals)
        if self.feature_size:
            inputs.append(features)
        hidden = torch.cat(inputs, dim=1)
        for layer in range(self.layer_count - 1):
            hidden = torch.relu(getattr(self, f"lin{layer}")(hidden))
        return bounded_colour(getattr(self, f"lin{self.layer_count - 1}")(hidden), self.colour_margin)


def bounded_colour(values: torch.Tensor, margin: float) -> torch.Tensor:
    """``(1 + margin) tanh(values)``, elementwise: colours of any shape, black at -1 and white at 1.

    With a margin of 0, as published, black and white lie at infinity: where most of an object lacks a channel, as
    yellow lacks blue, the loss drives that channel to where tanh is flat, and spots that have it are not learnt for a
    thousand steps and more.  With one they are reached at finite values (Barron et al., "Mip-NeRF", 2021, supplement,
    widen a sigmoid likewise).

    Args:
        margin: how far colours may lie beyond black and white, not negative.  What makes pictures cuts it off.
    """
    return (1 + margin) * torch.tanh(values)


def reflected(directions: torch.Tensor, normals: torch.Tensor) -> torch.Tensor:
    """Where rays go on to from a mirror, ``d - 2 (d . n) n``; a unit direction gives a unit direction.

    Args:
        directions: ``[N, 3]``, towards the mirror; normals: ``[N, 3]`` of any length but zero.  Differentiable in both.
    """
    normals = torch.nn.functional.normalize(normals, dim=1)
    return directions - 2 * (directions * normals).sum(1, keepdim=True) * normals
