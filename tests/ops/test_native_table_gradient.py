"""Table gradients that are summed where they are used: against those that autograd gets, and through the optimiser."""

import pytest
import torch

from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode import hash_encode
from nsr.ops.table_adam import TableAdam, table_adam_step
from nsr.ops.table_gradient import BLOCK, TableGradient, collecting

pytestmark = pytest.mark.usefixtures("native")

# The fourth level is hashed; with 5 points most blocks stay untouched.
LAYOUTS = [GridLayout(4, features, 9, 3, 20) for features in (1, 2, 4, 8)]


def loss_of(table, layout, count=5, seed=0, jacobian=True):
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(count, 3, generator=generator, dtype=table.dtype)
    features, derivative = hash_encode(positions, table, layout, jacobian)
    loss = (features * torch.randn(features.shape, generator=generator, dtype=table.dtype)).sum()
    return loss + derivative.square().sum() if jacobian else loss


def make_table(layout, dtype=torch.float32):
    torch.manual_seed(3)
    return torch.nn.Parameter(torch.randn(layout.entries, layout.features, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"F{layout.features}")
def test_the_sum_is_autograds_gradient_and_lies_in_marked_blocks(layout, dtype):
    table = make_table(layout, dtype)
    wanted = torch.autograd.grad(loss_of(table, layout), table)[0]
    gradient = TableGradient(table)
    with collecting([gradient]):
        loss_of(table, layout).backward()
    assert table.grad is None
    assert torch.equal(gradient.sum, wanted)
    blocks = (wanted != 0).any(1).nonzero().squeeze(1).unique() // BLOCK
    assert gradient.touched[blocks].all() and set(gradient.touched.tolist()) == {0, 1}


def test_uses_of_a_table_add_up_and_other_tables_are_left_to_autograd():
    layout = LAYOUTS[1]
    table, other = make_table(layout), make_table(layout)
    gradient = TableGradient(table)
    with collecting([gradient]):
        (loss_of(table, layout) + loss_of(table, layout, seed=1, jacobian=False) + loss_of(other, layout)).backward()
    parts = [loss_of(table, layout), loss_of(table, layout, seed=1, jacobian=False)]
    wanted = sum(torch.autograd.grad(part, table)[0] for part in parts)
    torch.testing.assert_close(gradient.sum, wanted)
    assert torch.equal(other.grad, torch.autograd.grad(loss_of(other, layout), other)[0])
    loss_of(table, layout).backward()  # outside, autograd has it again
    assert torch.equal(table.grad, torch.autograd.grad(loss_of(table, layout), table)[0])


def test_a_backward_that_is_differentiated_goes_to_autograd():
    layout = LAYOUTS[1]
    table = make_table(layout, torch.float64)
    gradient = TableGradient(table)
    with collecting([gradient]):
        inner = torch.autograd.grad(loss_of(table, layout), table, create_graph=True)[0]
    assert inner.requires_grad and not gradient.touched.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"F{layout.features}")
def test_training_with_collected_gradients_is_training_with_all_of_them(layout, dtype):
    tables = [make_table(layout, dtype) for _ in range(2)]
    plain, collected = (TableAdam([table]) for table in tables)
    for step in range(6):
        # In one step half of the loss does not go through the operator.
        beside = 0.5 if step == 3 else 0.0
        plain.zero_grad()
        (loss_of(tables[0], layout, seed=step) + beside * tables[0][:7].square().sum()).backward()
        plain.step()
        collected.zero_grad()
        with collected.collecting():
            loss = loss_of(tables[1], layout, seed=step)
            (loss + beside * tables[1][:7].square().sum() if beside else loss).backward()
        assert beside or tables[1].grad is None
        collected.step()
    assert torch.equal(*tables)
    (state,) = (optimiser.state[table] for optimiser, table in ((collected, tables[1]),))
    assert torch.equal(state["exp_avg"], plain.state[tables[0]]["exp_avg"])


@pytest.mark.parametrize("entries", [1, 8, 1003])
def test_the_marked_step_is_the_plain_one_and_clears_what_it_used(native, monkeypatch, entries):
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(entries, 1, generator=generator) < 0.1
    gradient = torch.randn(entries, 2, generator=generator) * rows
    marks = torch.zeros(-(-entries // BLOCK), dtype=torch.uint8)
    marks[(rows.squeeze(1)).nonzero().squeeze(1) // BLOCK] = 1
    start = [torch.randn(entries, 2, generator=generator).abs() for _ in range(3)]
    wanted = [tensor.clone() for tensor in start]
    table_adam_step(wanted[0], gradient, *wanted[1:], 4, 1e-2, (0.9, 0.99), 1e-15)
    for body in ("native", "torch"):
        monkeypatch.setenv("NSR_BACKEND", body)
        mine, summed, touched = [tensor.clone() for tensor in start], gradient.clone(), marks.clone()
        table_adam_step(mine[0], summed, *mine[1:], 4, 1e-2, (0.9, 0.99), 1e-15, touched)
        for got, want in zip(mine, wanted, strict=True):
            torch.testing.assert_close(got, want, rtol=2e-6, atol=1e-7)
        assert not summed.any() and not touched.any()


def test_marks_that_do_not_fit_are_refused(native):
    table = torch.zeros(20, 2)
    settings = (1, 1e-2, 0.9, 0.99, 1e-15)
    moments = (table.clone(), table.clone())
    with pytest.raises(ValueError, match="one for every 8 of 20 entries"):
        table_adam_step(table, table.clone(), *moments, 1, 1e-2, (0.9, 0.99), 0, torch.zeros(2, dtype=torch.uint8))
    for marks in (torch.zeros(2, dtype=torch.uint8), torch.zeros(3)):
        with pytest.raises(RuntimeError, match="a mark for every 8 rows"):
            native.table_adam_marked(table, table.clone(), marks, *moments, *settings)
    layout = LAYOUTS[1]
    summed = TableGradient(make_table(layout))
    summed.touched = summed.touched[:-1]
    with pytest.raises(RuntimeError, match="a mark for every 8 rows"), collecting([summed]):
        loss_of(summed.table, layout).backward()
