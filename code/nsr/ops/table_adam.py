"""Adam for large tables of which a step touches few entries.

Kingma and Ba, "Adam" (2015), with one difference, that of ``torch.optim.SparseAdam``: a number whose gradient is
exactly 0 keeps its value and its moments.  A hash table's gradient is 0 in all entries that no point of the batch
uses; those cost nothing but reading that gradient, where Adam itself would read and write all of table and moments.
"""

from __future__ import annotations

import torch

from nsr.ops import backend


class TableAdam(torch.optim.Optimizer):
    """The optimiser of a model's tables.

    Args:
        params: parameters of float32 or float64, or groups of them as torch's optimisers take.
        lr: learning rate.
        betas: decay of the two moments per step.
        eps: added to the root of the second moment.

    Raises:
        ValueError: a rate, decay or eps out of range.
    """

    def __init__(self, params, lr: float = 1e-2, betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-15):
        if lr < 0 or eps < 0 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"lr ({lr}) and eps ({eps}) must not be negative, betas {betas} must lie in [0, 1)")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        """One step with the gradients that the parameters hold; those without one stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                state = self.state[table]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"] = torch.zeros_like(table, memory_format=torch.contiguous_format)
                    state["exp_avg_sq"] = torch.zeros_like(table, memory_format=torch.contiguous_format)
                state["step"] += 1
                table_adam_step(
                    table, table.grad, state["exp_avg"], state["exp_avg_sq"], int(state["step"]), float(group["lr"]),
                    group["betas"], group["eps"],
                )
        return loss


@torch.no_grad()
def table_adam_step(
    table: torch.Tensor,
    gradient: torch.Tensor,
    first_moment: torch.Tensor,
    second_moment: torch.Tensor,
    steps: int,
    rate: float,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """Move a table and its moments, in place.

    Args:
        table, gradient, first_moment, second_moment: of one shape, dtype and device.
        steps: how many steps there are with this one, for the bias corrections.
        rate, betas, epsilon: as in ``TableAdam``.

    Raises:
        ValueError: shapes, dtypes or devices differ.
        NsrError: NSR_BACKEND asks for a body that is not here.
    """
    tensors = (table, gradient, first_moment, second_moment)
    if len({(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors}) != 1:
        raise ValueError("table, gradient and moments must share shape, dtype and device")
    limits = None
    if table.dtype not in (torch.float32, torch.float64):
        limits = f"{table.dtype} tables are not compiled (float32 and float64 are)"
    elif not (table.is_contiguous() and first_moment.is_contiguous() and second_moment.is_contiguous()):
        limits = "tables that are not contiguous are not compiled"
    if backend.runs_native("table_adam", table.device, limits):
        torch.ops.nsr.table_adam(
            table, gradient.contiguous(), first_moment, second_moment, steps, rate, *betas, epsilon
        )
        return
    moves = gradient != 0
    first = torch.lerp(gradient, first_moment, betas[0])
    second = torch.lerp(gradient * gradient, second_moment, betas[1])
    root = second.sqrt() / (1 - betas[1] ** steps) ** 0.5
    moved = table - rate / (1 - betas[0] ** steps) * first / (root + epsilon)
    for tensor, new in ((table, moved), (first_moment, first), (second_moment, second)):
        tensor.copy_(torch.where(moves, new, tensor))
