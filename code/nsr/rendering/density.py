"""From signed distances along a ray to the opacity of its sections, and to the weights of what it sees.

Two models of what a signed distance means to a ray, both sharper as training goes on:

* ``neus``: the opacity of a section is the part of the logistic function's value that is lost along it (Wang et al.,
  "NeuS", 2021, eq. 13).  Along a ray that enters a surface the weight is largest where the SDF is 0: unbiased to first
  order, and no section is too long, for the product over sections telescopes.
* ``laplace``: the density is the cumulative Laplace distribution of the negated SDF (Yariv et al., "Volume rendering
  of neural implicit surfaces", 2021, eq. 2 and 3, alpha = 1 / beta); a section's opacity is ``1 - exp(-mean density
  times length)``.
"""

from __future__ import annotations

import math

import torch

from nsr.config.schema import VolumeConfig
from nsr.errors import ConfigError

_LEARNING_SCALE = 10.0  # the logarithm moves ten times as fast as the parameter (as in NeuS's own code)


def neus_opacity(sdf: torch.Tensor, depth: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """``[R, M]`` opacities of the sections between ``M + 1`` samples: ``max((F(f_i) - F(f_i+1)) / F(f_i), 0)``.

    F is the logistic function of ``sharpness`` times the SDF.

    Args:
        sdf: ``[R, M + 1]`` along the rays, front to back; differentiable, as is sharpness.
        depth: ``[R, M + 1]``; no part of this model.
        sharpness: scalar, inverse length in the normalised frame (s in the paper).
    """
    front, back = sdf[:, :-1], sdf[:, 1:].minimum(sdf[:, :-1])
    # 1 - F(back) / F(front), by logarithms: deep inside both are below what a float holds.
    logsigmoid = torch.nn.functional.logsigmoid
    return -torch.expm1(logsigmoid(sharpness * back) - logsigmoid(sharpness * front))


def laplace_density(sdf: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """Density at points of these SDF values, of their shape: ``sharpness`` deep inside, half of it at the surface."""
    decay = 0.5 * torch.exp(-sharpness * sdf.abs())
    return sharpness * torch.where(sdf > 0, decay, 1 - decay)


def laplace_opacity(sdf: torch.Tensor, depth: torch.Tensor, sharpness: torch.Tensor) -> torch.Tensor:
    """``[R, M]`` opacities of the sections between ``M + 1`` samples; arguments as of ``neus_opacity``."""
    density = laplace_density(sdf, sharpness)
    mean = (density[:, :-1] + density[:, 1:]) / 2
    return -torch.expm1(-mean * (depth[:, 1:] - depth[:, :-1]))


def section_weights(opacity: torch.Tensor) -> torch.Tensor:
    """``[R, M]`` part of the light that each section sends: its opacity times what all before it let through."""
    passed = torch.cumprod(1 - opacity, dim=1)
    return opacity * torch.cat([torch.ones_like(passed[:, :1]), passed[:, :-1]], dim=1)


OPACITIES = {"neus": neus_opacity, "laplace": laplace_opacity}


class Density(torch.nn.Module):
    """The opacity model of a conf with its sharpness: a learned part on top of a floor that rises over the stage.

    Args:
        config: names the model, the sharpness to start with, and the floor at the stage's end.

    Raises:
        ConfigError: an unknown model.
    """

    def __init__(self, config: VolumeConfig):
        super().__init__()
        if config.density not in OPACITIES:
            raise ConfigError(f"volume.density is {config.density!r}; known are {', '.join(OPACITIES)}")
        self.model = OPACITIES[config.density]
        self.learned = torch.nn.Parameter(torch.tensor(math.log(config.sharpness) / _LEARNING_SCALE))
        self.register_buffer("floor", torch.tensor(0.0))
        self.final_floor = config.sharpness_floor

    def set_progress(self, progress: float) -> None:
        """Raise the floor: 0 at the start of the stage, linear, whole at ``progress`` 1."""
        self.floor.fill_(self.final_floor * progress)

    @property
    def sharpness(self) -> torch.Tensor:
        """Scalar, inverse length in the normalised frame; differentiable in the learned part."""
        return self.floor + torch.exp(_LEARNING_SCALE * self.learned)

    def opacity(self, sdf: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        """``[R, M]`` opacities of the sections between samples ``[R, M + 1]``, front to back."""
        return self.model(sdf, depth, self.sharpness)
