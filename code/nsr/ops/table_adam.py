"""Adam for large tables of which a step touches few entries.

Kingma and Ba, "Adam" (2015), with one difference, that of ``torch.optim.SparseAdam``: a number whose gradient is
exactly 0 keeps its value and its moments.  A hash table's gradient is 0 in all entries that no point of the batch
uses; those cost nothing but reading that gradient, where Adam itself would read and write all of table and moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nsr.ops import backend
from nsr.ops.table_gradient import BLOCK, TableGradient, collecting


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
        self._gradients: dict[torch.Tensor, TableGradient] = {}

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Run a backward pass within: compiled operators then sum the tables' gradients where ``step`` finds them.

        Such gradients are not in ``grad`` of the tables (clipping does not see them); whatever else flows into a table
        is there as ever, and ``step`` takes both.  Without compiled operators nothing differs from a plain backward.
        """
        for group in self.param_groups:
            for table in group["params"]:
                if table not in self._gradients and _marked_limits(table) is None:
                    if backend.runs_native("table_adam_marked", table.device):
                        self._gradients[table] = TableGradient(table)
        with collecting(self._gradients.values()):
            yield

    @torch.no_grad()
    def step(self, closure=None):
        """One step with the gradients that the parameters hold; those without one stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                summed = self._gradients.get(table)
                if table.grad is None and summed is None:
                    continue
                state = self.state[table]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state["exp_avg"] = torch.zeros_like(table, memory_format=torch.contiguous_format)
                    state["exp_avg_sq"] = torch.zeros_like(table, memory_format=torch.contiguous_format)
                state["step"] += 1
                moments = state["exp_avg"], state["exp_avg_sq"]
                settings = int(state["step"]), float(group["lr"]), group["betas"], group["eps"]
                if table.grad is None:
                    table_adam_step(table, summed.sum, *moments, *settings, summed.touched)
                    continue
                if summed is not None:
                    table.grad += summed.sum
                    summed.clear()
                table_adam_step(table, table.grad, *moments, *settings)
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
    touched: torch.Tensor | None = None,
) -> None:
    """Move a table and its moments, in place.

    Args:
        table, gradient, first_moment, second_moment: of one shape, dtype and device; with marks ``[entries, F]`` and
            contiguous.
        steps: how many steps there are with this one, for the bias corrections.
        rate, betas, epsilon: as in ``TableAdam``.
        touched: the marks (``nsr.ops.table_gradient.TableGradient``) of a gradient that is 0 outside of marked blocks;
            afterwards it is 0, and no block is marked.

    Raises:
        ValueError: shapes, dtypes or devices differ.
        NsrError: NSR_BACKEND asks for a body that is not here.
    """
    _check(table, gradient, first_moment, second_moment)
    settings = steps, rate, *betas, epsilon
    if touched is None:
        whole = table.is_contiguous() and first_moment.is_contiguous() and second_moment.is_contiguous()
        limits = _dtype_limits(table) or (None if whole else "tables that are not contiguous are not compiled")
        if backend.runs_native("table_adam", table.device, limits):
            torch.ops.nsr.table_adam(table, gradient.contiguous(), first_moment, second_moment, *settings)
            return
    else:
        if touched.shape != (-(-table.shape[0] // BLOCK),) or touched.dtype != torch.uint8:
            raise ValueError(f"touched must be uint8, one for every {BLOCK} of {table.shape[0]} entries")
        if backend.runs_native("table_adam_marked", table.device, _marked_limits(table)):
            torch.ops.nsr.table_adam_marked(table, gradient, touched, first_moment, second_moment, *settings)
            return
    moves = gradient != 0
    first = torch.lerp(gradient, first_moment, betas[0])
    second = torch.lerp(gradient * gradient, second_moment, betas[1])
    root = second.sqrt() / (1 - betas[1] ** steps) ** 0.5
    moved = table - rate / (1 - betas[0] ** steps) * first / (root + epsilon)
    for tensor, new in ((table, moved), (first_moment, first), (second_moment, second)):
        tensor.copy_(torch.where(moves, new, tensor))
    if touched is not None:
        gradient.zero_()
        touched.zero_()


def _check(*tensors: torch.Tensor) -> None:
    if len({(tensor.shape, tensor.dtype, tensor.device) for tensor in tensors}) != 1:
        raise ValueError("table, gradient and moments must share shape, dtype and device")


def _marked_limits(table: torch.Tensor) -> str | None:
    """Why the compiled step over marked blocks does not serve a table, or None where it does."""
    if table.dim() != 2 or not table.is_contiguous():
        return "only contiguous tables of two dimensions have marks"
    return _dtype_limits(table)


def _dtype_limits(table: torch.Tensor) -> str | None:
    """Why no compiled step serves a table of this dtype, or None where one does."""
    if table.dtype not in (torch.float32, torch.float64):
        return f"{table.dtype} tables are not compiled (float32 and float64 are)"
    return None
