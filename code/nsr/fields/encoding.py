"""The contract of an input encoding, and the registry that finds one by its name in a conf."""

from __future__ import annotations

import difflib
import inspect

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
        levels: how many ``set_progress`` opens one after the other; 1 where there are none to open.
    """

    input_dim: int
    channels: int
    levels: int = 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[N, D]``, each coordinate in [-1, 1], to ``[N, C]``; differentiable in x and parameters."""
        raise NotImplementedError

    def with_jacobian(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features ``[N, C]`` and their Jacobian ``[N, C, D]``, both differentiable in x and parameters."""
        raise NotImplementedError

    def bend(self, x: torch.Tensor, adjoint: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        """How the Jacobian changes along directions, seen through an adjoint: ``[N, D]``, constants.

        ``d/dt (adjoint^T J(x + t v))`` at 0, which is the gradient in x of ``adjoint^T J(x) v``, as second derivatives
        commute.

        Args:
            x: ``[N, D]``; adjoint: ``[N, C]``; directions v: ``[N, D]``.
        """
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            _, jacobian = self.with_jacobian(inner)
            slopes = (jacobian * directions.detach().unsqueeze(1)).sum(-1)
            return torch.autograd.grad((slopes * adjoint.detach()).sum(), inner)[0]

    def set_progress(self, progress: float) -> None:
        """Open the levels coarse to fine: 0 is the coarsest alone, 1 all; encodings without levels ignore it."""

    def table_parameters(self) -> list[torch.nn.Parameter]:
        """Parameters that are lookup tables, which want a higher learning rate than networks."""
        return []


_REGISTRY: dict[str, type[Encoding]] = {}


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
        ConfigError: no encoding of this name, or an option that it does not have (the message names the nearest and
            lists all), or an impossible value of one.
    """
    if config.name not in _REGISTRY:
        near = difflib.get_close_matches(config.name, _REGISTRY, n=1, cutoff=0.0)[0]
        raise ConfigError(
            f"unknown encoding {config.name!r}; did you mean {near!r}? Known are: {', '.join(encoding_names())}"
        )
    encoding = _REGISTRY[config.name]
    known = _option_names(encoding)
    for option in config.options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"did you mean {near[0]}? It has: " if near else "it has: "
            raise ConfigError(f"encoding {config.name}: unknown option {option}; {hint}{', '.join(known)}")
    try:
        return encoding(input_dim=input_dim, **config.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"encoding {config.name}: {error}") from error


def _option_names(encoding: type[Encoding]) -> list[str]:
    """What a conf may give to an encoding; one that hands ``**options`` on has its base's options too."""
    names: list[str] = []
    for cls in encoding.__mro__:
        if "__init__" not in vars(cls):
            continue
        _, *parameters = inspect.signature(cls.__init__).parameters.values()
        names += [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in names]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in names if name != "input_dim"]


def opening_weights(progress: float, levels: int) -> torch.Tensor:
    """``[L]`` weights in [0, 1] of levels that open one after the other (cosine ramps; BARF, Lin et al. 2021, eq. 14).

    At progress 0 the first level is open, at 1 all are.
    """
    position = 1 + progress * (levels - 1) - torch.arange(levels, dtype=torch.float32)
    return 0.5 - 0.5 * torch.cos(torch.pi * position.clamp(0, 1))
