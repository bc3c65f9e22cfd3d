"""The contract of an input encoding, and the registry that finds one by its name in a conf."""

from __future__ import annotations

import difflib
from collections.abc import Callable

import torch

from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError


class Encoding(torch.nn.Module):
    """Maps positions (or directions) to features, and knows its own Jacobian.

    The input itself always comes first among the output channels, so that the sphere initialisation of the SDF
    network, which looks at x alone, holds for every encoding.

    Attributes:
        input_dim: D.
        channels: C, input included.
    """

    input_dim: int
    channels: int

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, D]``, each coordinate in [-1, 1], to ``[N, C]``; differentiable in x and parameters."""
        raise NotImplementedError

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features ``[N, C]`` and their Jacobian ``[N, C, D]``, both differentiable in x and parameters."""
        raise NotImplementedError

    def set_progress(self, progress: float) -> None:
        """Open the levels coarse to fine: 0 is the coarsest alone, 1 all of them.  Encodings without levels ignore it."""

    def table_parameters(self) -> list[torch.nn.Parameter]:
        """Parameters that are lookup tables, which want a higher learning rate than networks."""
        return []


_REGISTRY: dict[str, Callable[..., Encoding]] = {}


def register_encoding(name: str):
    """Class decorator: make an encoding known to confs as ``name``."""

    def register(cls):
        _REGISTRY[name] = cls
        return cls

    return register


def encoding_names() -> list[str]:
    return sorted(_REGISTRY)


def make_encoding(config: EncodingConfig, input_dim: int = 3) -> Encoding:
    """Build the encoding that a conf names.

    Raises:
        ConfigError: no encoding of this name (the message lists them), or an option that it does not have.
    """
    if config.name not in _REGISTRY:
        near = difflib.get_close_matches(config.name, _REGISTRY, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"unknown encoding {config.name!r}; did you mean {near!r}? Known are: {', '.join(encoding_names())}"
        )
    try:
        return _REGISTRY[config.name](input_dim=input_dim, **config.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"encoding {config.name}: {error}") from error


def opening_weights(progress: float, levels: int) -> torch.Tensor:
    """``[L]`` weights in [0, 1] of levels that open one after the other (cosine ramps; BARF, Lin et al. 2021, eq. 14).

    At progress 0 the first level is open, at 1 all are.
    """
    position = 1 + progress * (levels - 1) - torch.arange(levels, dtype=torch.float32)
    return 0.5 - 0.5 * torch.cos(torch.pi * position.clamp(0, 1))
