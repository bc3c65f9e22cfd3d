"""The CUDA kernels on a GPU, against the operator of the CPU.  Skipped where torch sees no GPU."""

import itertools

import pytest
import torch

from nsr.ops import backend
from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode import hash_encode
from nsr.ops.hash_encode_native import HashEncodeNative

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    pytest.mark.usefixtures("native"),
]

VARIANTS = list(itertools.product(("linear", "smoothstep"), ("hash", "tiled")))
TOLERANCE = {torch.float32: 4e-6, torch.float64: 1e-13}


@pytest.fixture(autouse=True)
def with_cuda():
    assert backend.runs_native("hash_encode", torch.device("cuda")), backend.resolve().steps


def run(device, layout, dtype, table_dtype=None, count=2000):
    """Outputs and gradients of a random linear functional, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(count, 3, dtype=dtype, generator=generator) * 1.2 - 0.1
    table = torch.randn(layout.entries, layout.features, generator=generator).to(table_dtype or dtype)
    width = layout.levels * layout.features
    weights = [torch.randn(count, width, *extra, dtype=dtype, generator=generator) for extra in ((), (3,))]
    positions, table = (t.to(device).requires_grad_() for t in (positions, table))
    outputs = HashEncodeNative.apply(positions, table, layout, True)
    loss = sum((output * weight.to(device)).sum() for output, weight in zip(outputs, weights, strict=True))
    return [t.detach().cpu() for t in (*outputs, *torch.autograd.grad(loss, (positions, table)))]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("features", [1, 2, 4, 8])
@pytest.mark.parametrize(("interpolation", "storage"), VARIANTS)
def test_the_gpu_gives_what_the_cpu_gives(interpolation, storage, features, dtype):
    layout = GridLayout(6, features, 11, 4, 128, interpolation, storage)
    for got, wanted in zip(run("cuda", layout, dtype), run("cpu", layout, dtype), strict=True):
        assert (got - wanted).abs().max() <= TOLERANCE[dtype] * wanted.abs().max()


def test_half_tables():
    layout = GridLayout(6, 2, 11, 4, 128)
    results = [run(device, layout, torch.float32, torch.float16) for device in ("cuda", "cpu")]
    for part, (got, wanted) in enumerate(zip(*results, strict=True)):
        assert got.dtype == wanted.dtype
        tolerance = 1e-3 if part == 3 else 4e-6
        assert (got.float() - wanted.float()).abs().max() <= tolerance * wanted.float().abs().max()


def test_gradients_repeat_exactly_when_asked():
    layout = GridLayout(4, 2, 6, 4, 32)  # few entries: many points meet in each
    torch.use_deterministic_algorithms(True)
    try:
        runs = [run("cuda", layout, torch.float32, count=100_000) for _ in range(3)]
    finally:
        torch.use_deterministic_algorithms(False)
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))
    wanted = run("cpu", layout, torch.float32, count=100_000)[3]
    assert (runs[0][3] - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize(("interpolation", "storage"), VARIANTS)
def test_gradients_of_gradients(interpolation, storage):
    layout = GridLayout(2, 2, 4, 2, 4, interpolation, storage)
    positions = torch.tensor([[0.21, 0.43, 0.77], [0.63, 0.31, 0.12]], dtype=torch.float64, device="cuda")
    table = torch.randn(layout.entries, 2, dtype=torch.float64, device="cuda", requires_grad=True)
    inputs = (positions.requires_grad_(), table)

    def function(x, t):
        return HashEncodeNative.apply(x, t, layout, True)

    assert torch.autograd.gradcheck(function, inputs, eps=1e-7, atol=1e-5, nondet_tol=1e-9)
    assert torch.autograd.gradgradcheck(function, inputs, eps=1e-7, atol=1e-4, nondet_tol=1e-9)


def test_work_goes_to_the_current_stream():
    layout = GridLayout(8, 2, 15, 16, 256)
    table = torch.randn(layout.entries, 2, device="cuda")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        positions = torch.zeros(200_000, 3, device="cuda")
        for _ in range(20):
            positions.add_(0.04)  # whoever does not wait for these reads other positions
        features, _ = hash_encode(positions, table, layout)
    stream.synchronize()
    wanted, _ = hash_encode(positions, table, layout)
    assert torch.equal(features, wanted)


@pytest.mark.parametrize("count", [0, 1, 500_000])
def test_any_number_of_points(count):
    layout = GridLayout(4, 2, 12, 8, 64)
    positions = torch.rand(count, 3, device="cuda")
    features, jacobian = hash_encode(positions, torch.ones(layout.entries, 2, device="cuda"), layout, jacobian=True)
    assert features.shape == (count, 8) and jacobian.shape == (count, 8, 3)
    assert count == 0 or (features - 1).abs().max() < 1e-5


def test_tensors_on_two_devices_are_refused():
    layout = GridLayout(2, 2, 5, 2, 8)
    with pytest.raises(ValueError, match="table is on cpu"):
        hash_encode(torch.rand(3, 3, device="cuda"), torch.rand(layout.entries, 2), layout)
