"""What moves the parameters of the fields: Adam, in groups by rate."""

from __future__ import annotations

import torch

from nsr.config.schema import TrainConfig
from nsr.ops.table_adam import TableAdam
from nsr.rendering.density import Density
from nsr.rendering.surface import SurfaceRenderer

WAITS = "waits"  # a group's key: of the SDF, in a run with a volume stage, whose rates rise over ``volume.warm_up``


def field_optimisers(
    config: TrainConfig, renderer: SurfaceRenderer, density: Density | None
) -> tuple[list[torch.optim.Optimizer], TableAdam | None]:
    """The optimisers of the fields, and the one among them that moves only the entries of tables that a step touched,
    where the conf asks for it.

    Args:
        config: rates, and ``table_updates``.
        renderer: whose fields are trained.
        density: of the volume renderer, in runs that have one: the SDF then has groups of its own.
    """
    fields = [field for field in (renderer.sdf, renderer.radiance, renderer.background) if field is not None]
    sets = [fields] if density is None else [fields[:1], fields[1:]]
    groups, of_tables = [], []
    for members in sets:
        waits = {WAITS: density is not None and members[0] is renderer.sdf}
        tables = [table for field in members for table in field.table_parameters()]
        known = {id(table) for table in tables}
        networks = [parameter for field in members for parameter in field.parameters() if id(parameter) not in known]
        groups.append({"params": networks, "lr": config.learning_rate, **waits})
        if tables:
            # Most entries of a table see no gradient in a step; a tiny epsilon lets the rare ones move as fast.
            rates = {"lr": config.learning_rate_tables, "eps": 1e-15, "betas": (0.9, 0.99)}
            of_tables.append({"params": tables, **rates, **waits})
    if density is not None:
        groups.append({"params": list(density.parameters()), "lr": config.learning_rate, WAITS: False})
    if not of_tables or config.table_updates == "all":
        return [torch.optim.Adam(groups + of_tables, fused=True)], None
    touched = TableAdam(of_tables)
    return [torch.optim.Adam(groups, fused=True), touched], touched
