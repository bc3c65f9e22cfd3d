"""The compiled hash encoding against the PyTorch one: values, gradients, gradients of gradients, bad input."""

import itertools

import pytest
import torch

from nsr.ops import backend
from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode import hash_encode
from nsr.ops.hash_encode_native import HashEncodeNative, native_layout
from nsr.ops.hash_encode_torch import HashEncodeTorch, hash_encode_reference

pytestmark = pytest.mark.usefixtures("native")

VARIANTS = list(itertools.product(("linear", "smoothstep"), ("hash", "tiled")))
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-14}


def make_problem(layout, count, dtype=torch.float32, seed=0):
    """Positions, some of them at and beyond the ends of the grid, and a table."""
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(count, 3, dtype=dtype, generator=generator)
    special = torch.tensor([[0, 0, 0], [1, 1, 1], [-0.3, 0.5, 0.2], [0.4, 1.7, 0.9], [1, 0, 0.5]], dtype=dtype)
    positions[: min(5, count)] = special[: min(5, count)]
    return positions, torch.randn(layout.entries, layout.features, dtype=dtype, generator=generator)


def run(body, positions, table, layout, with_features=True, with_jacobian=True):
    """Both outputs and the gradients of a random linear functional of the wanted ones."""
    positions, table = positions.clone().requires_grad_(), table.clone().requires_grad_()
    features, jacobian = body(positions, table, layout, with_jacobian)
    generator = torch.Generator().manual_seed(7)
    loss = 0
    for output, wanted in ((features, with_features), (jacobian, with_jacobian)):
        if wanted:
            weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype)
            loss = loss + (output * weights).sum()
    grad_positions, grad_table = torch.autograd.grad(loss, (positions, table))
    return [features, *([jacobian] if with_jacobian else []), grad_positions, grad_table]


def assert_close(results, expected, tolerance):
    """Equal to a part of the largest number of each tensor."""
    for got, want in zip(results, expected, strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        assert (got - want).abs().max() <= tolerance * want.abs().max()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("features", [1, 2, 4, 8])
@pytest.mark.parametrize(("interpolation", "storage"), VARIANTS)
def test_values_and_gradients_are_those_of_pytorch(interpolation, storage, features, dtype):
    layout = GridLayout(6, features, 10, 4, 64, interpolation, storage)
    problem = make_problem(layout, 1333, dtype)
    for with_features, with_jacobian in ((True, True), (True, False), (False, True)):
        wanted = run(hash_encode_reference, *problem, layout, with_features, with_jacobian)
        for body in (HashEncodeNative.apply, HashEncodeTorch.apply):
            assert_close(run(body, *problem, layout, with_features, with_jacobian), wanted, TOLERANCE[dtype])


@pytest.mark.parametrize(("interpolation", "storage"), VARIANTS)
def test_gradients_of_gradients_by_finite_differences(interpolation, storage):
    layout = GridLayout(3, 2, 5, 2, 6, interpolation, storage)
    # Away from the faces between cells, where the Jacobian of linear interpolation jumps.
    positions, table = make_problem(layout, 40, torch.float64)
    fraction = torch.stack([(positions * scale + 0.5) % 1 for scale in layout.scales])
    inside = (positions > 0).all(1) & (positions < 1).all(1) & ((fraction - 0.5).abs() < 0.49).all(2).all(0)
    positions = positions[inside][:4].requires_grad_()
    assert len(positions) == 4

    def function(x, t):
        return HashEncodeNative.apply(x, t, layout, True)

    inputs = (positions, table.requires_grad_())
    assert torch.autograd.gradcheck(function, inputs, eps=1e-7, atol=1e-5)
    assert torch.autograd.gradgradcheck(function, inputs, eps=1e-7, atol=1e-4)


@pytest.mark.parametrize(("interpolation", "storage"), VARIANTS)
def test_half_tables_give_float_sums(interpolation, storage):
    layout = GridLayout(5, 2, 9, 4, 40, interpolation, storage)
    positions, table = make_problem(layout, 500)
    half = table.half()
    got = run(HashEncodeNative.apply, positions, half, layout)
    wanted = run(HashEncodeNative.apply, positions, half.float(), layout)
    assert got[-1].dtype == torch.float16
    assert all(torch.equal(a, b) for a, b in zip(got[:-1], wanted[:-1], strict=True))
    assert torch.equal(got[-1], wanted[-1].half())
    assert_close(run(HashEncodeTorch.apply, positions, half, layout), got, 2e-3)


def test_half_numbers_are_read_exactly():
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(torch.float16)
    layout = GridLayout(1, 1, 16, 40, 40)
    table = torch.zeros(layout.entries, 1, dtype=torch.float16)
    table[: len(bits), 0] = bits[: layout.entries]
    # A vertex i of a dense level lies at (i - 0.5) / scale: only its own row has a weight.
    cells = torch.arange(1, 39, dtype=torch.float32)
    grid = torch.cartesian_prod(cells, cells, cells)
    positions = (grid - 0.5) / layout.scales[0]
    features, _ = HashEncodeNative.apply(positions, table, layout, False)
    reference, _ = HashEncodeTorch.apply(positions, table, layout, False)
    finite = torch.isfinite(reference)
    assert finite.sum() > 30000
    assert (features[finite] - reference[finite]).abs().max() <= 2e-6 * reference[finite].abs().max()
    assert torch.equal(torch.isfinite(features), finite)


def test_results_do_not_depend_on_threads():
    layout = GridLayout(8, 2, 14, 8, 256)
    problem = make_problem(layout, 70000)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(run(HashEncodeNative.apply, *problem, layout))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("count", [0, 1, 31, 33, 513])
def test_any_number_of_points(count):
    layout = GridLayout(4, 2, 8, 4, 32)
    problem = make_problem(layout, count)
    got = run(HashEncodeNative.apply, *problem, layout)
    assert got[0].shape == (count, 8) and got[1].shape == (count, 8, 3)
    if count:
        assert_close(got, run(hash_encode_reference, *problem, layout), 2e-6)
    else:
        assert not got[-1].any()


def test_half_a_million_points():
    layout = GridLayout(4, 2, 12, 8, 64)
    positions, table = make_problem(layout, 500_000)
    features, _ = HashEncodeNative.apply(positions, table, layout, False)
    some = torch.arange(0, 500_000, 4999)
    reference, _ = hash_encode_reference(positions[some], table, layout)
    assert_close([features[some]], [reference], 2e-6)


def test_positions_that_are_not_numbers():
    layout = GridLayout(4, 2, 8, 4, 32)
    positions, table = make_problem(layout, 40)
    clean, _ = HashEncodeNative.apply(positions, table, layout, True)
    positions[7, 1] = float("nan")
    positions[9, 2], positions[11, 0] = float("inf"), float("-inf")
    features, jacobian, grad_positions, _ = run(HashEncodeNative.apply, positions, table, layout)
    reference = run(hash_encode_reference, positions, table, layout)
    assert features[7].isnan().all() and grad_positions[7].isnan().any()
    others = [row for row in range(40) if row != 7]
    assert_close([features[others], jacobian[others]], [reference[0][others], reference[1][others]], 2e-6)
    untouched = [row for row in others if row not in (9, 11)]
    assert torch.equal(features[untouched], clean[untouched])


def test_tensors_need_not_be_contiguous():
    layout = GridLayout(4, 2, 8, 4, 32)
    positions, table = make_problem(layout, 60)
    strided = torch.stack([positions, positions], dim=2)[:, :, 0], table.t().contiguous().t()
    assert not strided[0].is_contiguous() and not strided[1].is_contiguous()
    got = run(HashEncodeNative.apply, *strided, layout)
    assert all(
        torch.equal(a, b) for a, b in zip(got, run(HashEncodeNative.apply, positions, table, layout), strict=True)
    )


def test_the_public_function_runs_the_compiled_body(monkeypatch):
    layout = GridLayout(4, 2, 8, 4, 32)
    positions, table = make_problem(layout, 60)
    monkeypatch.setenv("NSR_BACKEND", "native")
    native = hash_encode(positions, table.requires_grad_(), layout)[0]
    monkeypatch.setenv("NSR_BACKEND", "torch")
    plain = hash_encode(positions, table, layout)[0]
    assert "Native" in type(native.grad_fn).__name__ and "Torch" in type(plain.grad_fn).__name__
    assert_close([native], [plain], 2e-6)


@pytest.mark.parametrize(
    ("positions", "table", "message"),
    [
        (torch.rand(5, 2), None, r"positions must be \[N, 3\]"),
        (torch.rand(5), None, r"positions must be \[N, 3\]"),
        (torch.rand(5, 3), torch.rand(7, 2), "table must be"),
        (torch.rand(5, 3).double(), None, "dtype"),
        (torch.rand(5, 3).half(), None, "dtype"),
        (torch.ones(5, 3, dtype=torch.long), None, "dtype"),
        (torch.rand(5, 3, device="meta"), None, "device|meta"),
    ],
)
def test_wrong_tensors_are_refused(positions, table, message):
    layout = GridLayout(4, 2, 8, 4, 32)
    table = torch.rand(layout.entries, 2) if table is None else table
    with pytest.raises(ValueError, match=message):
        hash_encode(positions, table, layout)


def corrupted(**changes):
    """Arguments of the operator itself, with one of them spoilt."""
    layout = GridLayout(2, 2, 6, 4, 16)
    levels, scales = native_layout(layout)
    arguments = {
        "positions": torch.rand(5, 3), "table": torch.rand(layout.entries, 2), "levels": levels.clone(),
        "scales": scales.clone(),
    }
    for name, change in changes.items():
        arguments[name] = change(arguments[name])
    return (*arguments.values(), False, False)


def set_entry(*at_and_value):
    def change(tensor):
        *at, value = at_and_value
        tensor[tuple(at)] = value
        return tensor

    return change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"table": lambda t: t[:-1]}, "does not lie in the table"),
        ({"levels": set_entry(1, 0, -1)}, "does not lie in the table"),
        ({"levels": set_entry(1, 1, 63)}, "no storage of its kind"),
        ({"levels": set_entry(0, 3, 4000)}, "too small for dense"),
        ({"scales": set_entry(0, 1e12)}, "scale"),
        ({"scales": set_entry(0, float("nan"))}, "scale"),
        ({"table": lambda t: t.bfloat16()}, "float16"),
        ({"table": lambda t: t[:, :1].expand(-1, 3).contiguous()}, "1, 2, 4 or 8"),
        ({"positions": lambda t: t.t()}, "wrong shapes"),
        ({"levels": lambda t: t.int()}, "int64"),
    ],
)
def test_the_operator_itself_never_reads_beyond_its_table(changes, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.nsr.hash_encode(*corrupted(**changes))


@pytest.mark.parametrize(("log2_table", "finest"), [(1, 1), (2, 2), (3, 3), (5, 300), (19, 2048)])
def test_table_sizes(log2_table, finest):
    layout = GridLayout(3, 2, log2_table, 1, finest)
    problem = make_problem(layout, 300)
    assert_close(run(HashEncodeNative.apply, *problem, layout), run(hash_encode_reference, *problem, layout), 2e-6)


def test_the_exact_sums_of_cuda_are_not_asked_for_on_the_cpu():
    layout = GridLayout(4, 2, 8, 4, 32)
    problem = make_problem(layout, 50)
    plain = run(HashEncodeNative.apply, *problem, layout)
    torch.use_deterministic_algorithms(True)
    try:
        assert all(torch.equal(a, b) for a, b in zip(plain, run(HashEncodeNative.apply, *problem, layout), strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


def test_kernels_are_registered_for_the_cpu():
    assert backend._has_kernel("hash_encode", "cpu")
