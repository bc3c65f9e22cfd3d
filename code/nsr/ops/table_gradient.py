"""Gradients of large tables, summed where a step touches them and nowhere else.

A step uses a few entries in a hundred of a large table.  A gradient as autograd knows it is a whole table of zeros to
allocate, clear, add up where a table is used twice, and read again; here the sum stays from step to step, a backward
pass adds to the entries it uses and marks their blocks, and ``TableAdam`` reads the marked blocks and clears them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

BLOCK = 8  # entries that share a mark: with two features of float32 they are a line of the processor's cache

_collecting: dict[int, TableGradient] = {}


class TableGradient:
    """The gradient of one table, between backward passes and the optimiser's step.

    Attributes:
        sum: of the table's shape and type, zeros outside of marked blocks.
        touched: ``[ceil(entries / 8)]`` uint8, the marks.
    """

    def __init__(self, table: torch.Tensor):
        self.table = table
        self.sum = torch.zeros_like(table, memory_format=torch.contiguous_format)
        self.touched = torch.zeros(-(-table.shape[0] // BLOCK), dtype=torch.uint8, device=table.device)

    def clear(self) -> None:
        self.sum.zero_()
        self.touched.zero_()


@contextmanager
def collecting(gradients: Iterable[TableGradient]) -> Iterator[None]:
    """Within, compiled operators add their tables' gradients to these, and give autograd none for those tables.

    Operators that do not know of this, and backward passes that are themselves differentiated, hand their gradients to
    autograd as ever; ``TableAdam`` takes both.
    """
    mine = {gradient.table.data_ptr(): gradient for gradient in gradients}
    _collecting.update(mine)
    try:
        yield
    finally:
        for pointer in mine:
            del _collecting[pointer]


def collector(table: torch.Tensor) -> TableGradient | None:
    """Where the gradient of a table is to be added now; None: autograd wants it."""
    return _collecting.get(table.data_ptr()) if _collecting else None
