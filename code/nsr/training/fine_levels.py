"""Loss terms that hold the fine levels of a grid where photographs do not decide them.

All look at points on the surface and are differentiable in the parameters of the SDF field; none draws random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.fields.sdf import SDFField


@dataclass
class Stencil:
    """Central differences of a field at P points.

    Attributes:
        gradient: ``[P, 3]``; laplacian: ``[P]``, in 1 / units of the normalised frame.
    """

    gradient: torch.Tensor
    laplacian: torch.Tensor


def stencil(field: SDFField, points: torch.Tensor, step: float) -> Stencil:
    """Gradient and Laplacian of the SDF by differences over ``step`` along each axis (Li et al., "Neuralangelo", 2023,
    eq. 4 and 8).

    A step of a grid's cell reaches beyond the cell that holds a point, and with it what is learnt from the result:
    neighbouring cells are pulled together, where the analytic gradient sees one alone.

    Args:
        points: ``[P, 3]``, used as constants; step: in units of the normalised frame.
    """
    offsets = step * torch.eye(3, dtype=points.dtype, device=points.device)
    moves = torch.cat([torch.zeros_like(offsets[:1]), offsets, -offsets])
    values = field.value((points.detach().unsqueeze(0) + moves.unsqueeze(1)).view(-1, 3)).view(7, -1)
    centre, ahead, behind = values[0], values[1:4], values[4:]
    return Stencil(((ahead - behind) / (2 * step)).t(), (ahead + behind - 2 * centre).sum(0) / step**2)


def stencil_step(field: SDFField, config: Config) -> float:
    """The conf's ``loss.stencil_step``, or a cell of the finest level that is open now."""
    return config.loss.stencil_step if config.loss.stencil_step > 0 else field.encoding.open_cell()


def check_fine_levels(config: Config, field: SDFField) -> None:
    """Whether the field has what the conf's terms ask for.

    Raises:
        ConfigError: a term that needs the levels of a hash grid, and the encoding has none.
    """
    loss, encoding = config.loss, field.encoding
    wanted = {
        "total_variation_weight": loss.total_variation_weight > 0 and not hasattr(encoding, "total_variation"),
        "level_decay_weight": loss.level_decay_weight > 0 and not hasattr(encoding, "level_decay"),
        "stencil_step = 0": loss.stencil_step == 0
        and (loss.curvature_weight > 0 or loss.numerical_eikonal)
        and not hasattr(encoding, "open_cell"),
    }
    for name, missing in wanted.items():
        if missing:
            raise ConfigError(
                f"loss.{name} needs the levels of MultiResHash as the encoding of model.implicit_network, which is "
                f"{config.model.implicit_network.encoding.name}"
            )
