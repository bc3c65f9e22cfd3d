"""The optimiser of tables: compiled and plain, against torch's own optimisers."""

import pytest
import torch

from nsr.errors import NsrError
from nsr.ops.table_adam import TableAdam, table_adam_step

SETTINGS = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-15}


def gradients(count, shape, share, dtype):
    """Gradients in which a share of the rows is not 0."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        rows = torch.rand(shape[0], 1, generator=generator) < share
        yield torch.randn(*shape, generator=generator, dtype=dtype) * rows


def optimise(make, share, dtype, sparse=False):
    torch.manual_seed(1)
    table = torch.nn.Parameter(torch.randn(1003, 2, dtype=dtype))
    optimiser = make([table])
    for gradient in gradients(12, table.shape, share, dtype):
        table.grad = gradient.to_sparse(1) if sparse else gradient
        optimiser.step()
    return table.detach()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_with_a_gradient_everywhere_it_is_adam(body, dtype, tolerance):
    wanted = optimise(lambda p: torch.optim.Adam(p, **SETTINGS), 2.0, dtype)
    assert (optimise(lambda p: TableAdam(p, **SETTINGS), 2.0, dtype) - wanted).abs().max() < tolerance


# torch adds epsilon before the bias correction there, which shows in the twelfth digit.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-11)])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_with_few_gradients_it_is_sparse_adam(body, dtype, tolerance, share):
    wanted = optimise(lambda p: torch.optim.SparseAdam(p, **SETTINGS), share, dtype, sparse=True)
    assert (optimise(lambda p: TableAdam(p, **SETTINGS), share, dtype) - wanted).abs().max() < tolerance


def test_entries_without_a_gradient_keep_every_bit(body):
    table, first, second = torch.randn(100, 2), torch.randn(100, 2), torch.rand(100, 2)
    gradient = torch.zeros(100, 2)
    gradient[40, 1] = 0.3
    before = [tensor.clone() for tensor in (table, first, second)]
    table_adam_step(table, gradient, first, second, 5, 1e-2, (0.9, 0.99), 1e-15)
    for old, new in zip(before, (table, first, second), strict=True):
        changed = (old != new).nonzero().tolist()
        assert changed == [[40, 1]]


def test_a_saved_state_goes_on_as_if_never_stopped(body):
    torch.manual_seed(1)
    steps = list(gradients(6, (50, 2), 0.5, torch.float32))
    tables = [torch.nn.Parameter(torch.ones(50, 2)) for _ in range(2)]
    straight, resumed = TableAdam(tables[:1]), TableAdam(tables[1:])
    for number, gradient in enumerate(steps):
        if number == 3:
            saved = resumed.state_dict()
            resumed = TableAdam(tables[1:])
            resumed.load_state_dict(saved)
        for table, optimiser in zip(tables, (straight, resumed), strict=True):
            table.grad = gradient.clone()
            optimiser.step()
    assert torch.equal(*tables)


def test_results_do_not_depend_on_threads(native):
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            tensors = [torch.full((50_001, 2), value) for value in (1.0, 0.5, 0.25)]
            gradient = torch.sin(torch.arange(100_002.0)).view(-1, 2) * (torch.arange(50_001) % 7 == 0)[:, None]
            table_adam_step(tensors[0], gradient, *tensors[1:], 3, 1e-2, (0.9, 0.99), 1e-15)
            results.append(tensors)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_wrong_tensors_are_refused(body):
    table = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="share shape"):
        table_adam_step(table, torch.zeros(4, 1), table.clone(), table.clone(), 1, 1e-2, (0.9, 0.99), 1e-15)
    with pytest.raises(ValueError, match="share shape"):
        table_adam_step(table, table.double(), table.clone(), table.clone(), 1, 1e-2, (0.9, 0.99), 1e-15)
    with pytest.raises(ValueError, match="betas"):
        TableAdam([torch.nn.Parameter(table)], betas=(1.0, 0.9))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
def test_the_gpu_gives_what_the_cpu_gives(native):
    gradient = torch.sin(torch.arange(20_002.0)).view(-1, 2) * (torch.arange(10_001) % 3 == 0)[:, None]
    results = []
    for device in ("cpu", "cuda"):
        tensors = [torch.full((10_001, 2), value, device=device) for value in (1.0, 0.5, 0.25)]
        table_adam_step(tensors[0], gradient.to(device), *tensors[1:], 3, 1e-2, (0.9, 0.99), 1e-15)
        results.append([tensor.cpu() for tensor in tensors])
    for got, wanted in zip(results[1], results[0], strict=True):
        assert (got - wanted).abs().max() < 2e-6


def test_half_tables_run_in_pytorch_and_are_an_error_when_forced(native, monkeypatch):
    arguments = [torch.ones(4, 2).half() for _ in range(4)]
    monkeypatch.delenv("NSR_BACKEND", raising=False)
    table_adam_step(*arguments, 1, 1e-2, (0.9, 0.99), 1e-8)
    assert (arguments[0] < 1).all()
    monkeypatch.setenv("NSR_BACKEND", "native")
    with pytest.raises(NsrError, match="float16"):
        table_adam_step(*arguments, 1, 1e-2, (0.9, 0.99), 1e-8)
