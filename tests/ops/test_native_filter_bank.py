"""The compiled filter bank against the PyTorch one: values, gradients, gradients of gradients, bad input."""

import math

import pytest
import torch

from nsr.errors import NsrError
from nsr.ops import backend
from nsr.ops.filter_bank import FilterBankParameters, filter_bank
from nsr.ops.filter_bank_native import filter_bank_native, native_limits
from nsr.ops.filter_bank_torch import READOUTS, filter_bank_reference

pytestmark = pytest.mark.usefixtures("native")

TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-12}


def make_bank(
    readout="concat", levels=3, features=2, width=16, outputs=5, dtype=torch.float64, seed=0, w0=3.0, sigma=0.3
):
    """A bank with SIREN's weights, whose phases are of the order of 1 to ``w0``."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(limit, *shape):
        return ((torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * limit).to(dtype)

    limit = math.sqrt(6 / width)
    head = {"concat": ((outputs, levels * width), (outputs,)), "heads": ((levels, outputs, width), (levels, outputs))}
    return FilterBankParameters(
        bands=(torch.randn(levels, features, width, generator=generator, dtype=torch.float64) * sigma).to(dtype),
        phase=uniform(1, levels, width),
        first_weight=uniform(1 / 3, width, 3),
        weights=uniform(limit / w0, levels, width, width),
        biases=uniform(0.1, levels + 1, width),
        head_weight=uniform(limit / 4, *head[readout][0]) if readout in head else None,
        head_bias=uniform(0.5, *head[readout][1]) if readout in head else None,
        shares=torch.linspace(1, 0.5, levels, dtype=dtype),
        readout=readout,
        activation="sine",
        w0=w0,
        w1=4.0,
        bound=0.9,
    )


def make_points(bank, count, seed=1):
    """Positions, grid features and their Jacobian."""
    generator = torch.Generator().manual_seed(seed)
    levels, features, _ = bank.bands.shape
    shapes = ((count, 3), (count, levels * features), (count, levels * features, 3))
    return [(torch.rand(*s, generator=generator, dtype=torch.float64) * 2 - 1).to(bank.bands.dtype) for s in shapes]


def run(body, points, bank, with_value=True, with_jacobian=True):
    """Outputs, and the gradients of a random linear functional of the wanted ones in all inputs.

    ``with_jacobian`` None computes no Jacobian, False computes one that the functional leaves out.
    """
    inputs = [tensor.clone().requires_grad_() for tensor in points]
    trained = [t if t is None else t.clone().requires_grad_() for t in bank.trained()]
    grid_jacobian = inputs[2] if with_jacobian is not None else None
    value, jacobian = body(inputs[0], inputs[1], grid_jacobian, bank.replaced(*trained))
    generator = torch.Generator().manual_seed(7)
    loss = 0
    for output, wanted in ((value, with_value), (jacobian, with_jacobian)):
        if wanted:
            weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype)
            loss = loss + (output * weights).sum()
    tensors = [*inputs[: 3 if with_jacobian else 2], *(t for t in trained if t is not None)]
    outputs = [value, *([jacobian] if jacobian is not None else [])]
    return [*outputs, *torch.autograd.grad(loss, tensors, materialize_grads=True)]


def assert_close(results, expected, tolerance):
    """Equal to a part of the largest number of each tensor."""
    for part, (got, want) in enumerate(zip(results, expected, strict=True)):
        assert got.shape == want.shape and got.dtype == want.dtype
        error = (got - want).abs().max() if got.numel() else torch.zeros(())
        assert error <= tolerance * want.abs().max() if got.numel() else True, (part, error / want.abs().max())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("features", "width"), [(2, 16), (1, 6), (4, 37)])
def test_values_and_gradients_are_those_of_pytorch(readout, features, width, dtype):
    bank = make_bank(readout, features=features, width=width, dtype=dtype)
    points = make_points(bank, 411)
    for with_value, with_jacobian in ((True, True), (False, True), (True, False), (True, None)):
        got = run(filter_bank_native, points, bank, with_value, with_jacobian)
        assert_close(got, run(filter_bank_reference, points, bank, with_value, with_jacobian), TOLERANCE[dtype])


@pytest.mark.parametrize("readout", READOUTS)
def test_gradients_of_gradients_by_finite_differences(readout):
    bank = make_bank(readout, levels=2, width=5, outputs=2)
    inputs = [t.requires_grad_() for t in make_points(bank, 3)]
    trained = [t.requires_grad_() for t in bank.trained() if t is not None]

    def function(x, grid, grid_jacobian, *tensors):
        return filter_bank_native(x, grid, grid_jacobian, bank.replaced(*tensors, *[None] * (6 - len(tensors))))

    assert torch.autograd.gradcheck(function, (*inputs, *trained), fast_mode=True)
    assert torch.autograd.gradgradcheck(function, (*inputs, *trained), fast_mode=True, atol=1e-4)


def test_the_jacobian_is_that_of_the_value():
    """With features linear in x the whole is a function of x alone, which finite differences know."""
    bank = make_bank(width=12)
    slopes = make_points(bank, 1)[2][0]
    x = make_points(bank, 20)[0]

    def value(x, jacobian=False):
        return filter_bank_native(x, x @ slopes.t(), slopes.expand(len(x), -1, -1) if jacobian else None, bank)

    _, jacobian = value(x, jacobian=True)
    step = 1e-6
    for axis in range(3):
        shift = step * torch.eye(3, dtype=x.dtype)[axis]
        difference = (value(x + shift)[0] - value(x - shift)[0]) / (2 * step)
        torch.testing.assert_close(jacobian[..., axis], difference, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("largest", [1.0, 30.0, 1e3, 1e6])
def test_sines_are_exact_to_the_rounding_of_a_float(native, largest):
    generator = torch.Generator().manual_seed(0)
    phases = (torch.rand(1, 100, 501, generator=generator) * 2 - 1) * largest
    nothing = torch.empty(0)
    got = native.filter_bank_layer(phases, torch.zeros(501), 1.0, nothing, nothing, nothing, nothing, 0)
    assert (got.double() - phases.double().sin()).abs().max() <= 1.2e-7
    tangents = torch.cat([phases, torch.ones(3, 100, 501)])
    slopes = native.filter_bank_layer(tangents, torch.zeros(501), 1.0, nothing, nothing, nothing, nothing, 0)[1:]
    assert (slopes.double() - phases.double().cos()).abs().max() <= 1.2e-7


def test_sines_of_what_is_no_usable_phase(native):
    phases = torch.tensor([0.0, 1e12, -3e30, 3.4e38, float("inf"), float("-inf"), float("nan"), 1.0, 2.0])
    nothing = torch.empty(0)
    got = native.filter_bank_layer(phases.view(1, 1, 9), torch.zeros(9), 1.0, nothing, nothing, nothing, nothing, 0)
    got = got.flatten()
    assert got[:4].abs().max() <= 1 and got[4:7].isnan().all()
    torch.testing.assert_close(got[7:], phases[7:].sin())


def test_large_phases_cost_both_bodies_the_same_accuracy():
    """With the frequencies of a real bank, against float64: neither body is further from it than twice the other."""
    settings = dict(readout="concat", levels=6, width=64, outputs=32, w0=30.0, sigma=8.0)
    exact = make_bank(**settings)
    points = make_points(exact, 300)
    single = make_bank(**settings, dtype=torch.float32)
    wanted = run(filter_bank_reference, points, exact)
    bodies = filter_bank_native, filter_bank_reference
    native, plain = (run(body, [p.float() for p in points], single) for body in bodies)
    for got, reference, want in zip(native, plain, wanted, strict=True):
        errors = [(result - want).abs().max() / want.abs().max() for result in (got, reference)]
        assert errors[0] <= max(2 * errors[1], 2e-6) and errors[0] < 1e-3


def test_results_do_not_depend_on_threads():
    bank = make_bank(levels=4, width=64, outputs=32, dtype=torch.float32)
    points = make_points(bank, 5000)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(run(filter_bank_native, points, bank))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("count", [0, 1, 23, 24, 25, 1025])
def test_any_number_of_points(count, readout):
    bank = make_bank(readout, dtype=torch.float32)
    points = make_points(bank, count)
    got = run(filter_bank_native, points, bank)
    assert got[0].shape == (count, bank.outputs) and got[1].shape == (count, bank.outputs, 3)
    assert_close(got, run(filter_bank_reference, points, bank), 2e-6)


def test_closed_levels_are_left_out_and_get_no_gradient():
    bank = make_bank(levels=4)
    bank.shares = torch.tensor([1.0, 0.25, 0.0, 0.0], dtype=torch.float64)
    points = make_points(bank, 50)
    got = run(filter_bank_native, points, bank)
    assert_close(got, run(filter_bank_reference, points, bank), 1e-12)
    grad_bands, grad_weights = got[5], got[7]
    assert grad_bands[:2].abs().amin(dim=(1, 2)).max() > 0 and not grad_bands[2:].any() and not grad_weights[2:].any()
    bank.shares = torch.zeros(4, dtype=torch.float64)
    assert_close(run(filter_bank_native, points, bank), run(filter_bank_reference, points, bank), 1e-12)


def test_a_point_that_is_not_a_number_spoils_no_other():
    bank = make_bank(dtype=torch.float32)
    points = make_points(bank, 60)
    clean = run(filter_bank_native, points, bank)
    points[0][5, 1], points[1][33, 2] = float("nan"), float("inf")
    spoilt = run(filter_bank_native, points, bank)
    others = [row for row in range(60) if row not in (5, 33)]
    for part in range(5):  # outputs and gradients of the points
        assert torch.equal(spoilt[part][others], clean[part][others])
    assert spoilt[0][[5, 33]].isnan().any(dim=1).all()


def test_tensors_need_not_be_contiguous():
    bank = make_bank(dtype=torch.float32)
    points = make_points(bank, 60)
    strided = [torch.stack([p, p], dim=-1)[..., 0] for p in points]
    trained = [t.transpose(-1, -2).contiguous().transpose(-1, -2) if t.dim() > 1 else t for t in bank.trained()]
    assert not strided[1].is_contiguous() and not trained[2].is_contiguous()
    got, wanted = (filter_bank_native(*p, b) for p, b in ((strided, bank.replaced(*trained)), (points, bank)))
    assert_close(got, wanted, 2e-6)


def test_gradients_are_computed_for_whoever_needs_one():
    """Frozen tensors get none, and the others those that they get together."""
    bank = make_bank()
    points = make_points(bank, 40)
    wanted = run(filter_bank_native, points, bank)
    points[0].requires_grad_()
    value, jacobian = filter_bank_native(*points, bank)
    generator = torch.Generator().manual_seed(7)
    weights = [torch.randn(o.shape, generator=generator, dtype=torch.float64) for o in (value, jacobian)]
    (got,) = torch.autograd.grad([value, jacobian], points[0], weights)
    torch.testing.assert_close(got, wanted[2], rtol=1e-12, atol=1e-12)


def test_the_public_function_runs_the_compiled_body(monkeypatch):
    bank = make_bank(dtype=torch.float32)
    points = make_points(bank, 60)
    points[0].requires_grad_()
    monkeypatch.setenv("NSR_BACKEND", "native")
    native, _ = filter_bank(*points, bank)
    monkeypatch.setenv("NSR_BACKEND", "torch")
    plain, _ = filter_bank(*points, bank)
    assert "Native" in type(native.grad_fn).__name__ and "Native" not in type(plain.grad_fn).__name__
    assert_close([native], [plain], 2e-6)


def test_what_is_not_compiled_runs_as_pytorch_unless_it_is_forced(monkeypatch):
    bank = make_bank()
    bank.activation = "relu"
    points = make_points(bank, 9)
    assert "relu" in native_limits(points[0], bank)
    monkeypatch.delenv("NSR_BACKEND", raising=False)
    for got, wanted in zip(filter_bank(*points, bank), filter_bank_reference(*points, bank), strict=True):
        assert torch.equal(got, wanted)
    monkeypatch.setenv("NSR_BACKEND", "native")
    with pytest.raises(NsrError, match="layers of relu are not compiled"):
        filter_bank(*points, bank)
    bank = make_bank()
    bank.phase.requires_grad_()
    assert "phases" in native_limits(points[0], bank)
    assert "float16" in native_limits(points[0].half(), make_bank())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, b: p.__setitem__(0, torch.rand(5, 2)), r"positions must be \[N, 3\]"),
        (lambda p, b: p.__setitem__(1, p[1][:4]), r"grid must be \[5, 6\], got \[4, 6\]"),
        (lambda p, b: p.__setitem__(2, p[2][:, :5]), r"grid_jacobian must be \[5, 6, 3\]"),
        (lambda p, b: p.__setitem__(1, p[1].float()), "dtype"),
        (lambda p, b: p.__setitem__(1, p[1].to("meta")), "grid is on meta"),
        (lambda p, b: setattr(b, "weights", b.weights[:2]), r"weights must be \[3, 16, 16\]"),
        (lambda p, b: setattr(b, "head_weight", b.head_weight[:, :7]), r"head_weight must be \[5, 48\]"),
        (lambda p, b: setattr(b, "bands", b.bands[0]), r"bands must be \[L, F, W\]"),
        (lambda p, b: setattr(b, "biases", b.biases.long()), "dtype"),
    ],
)
def test_wrong_tensors_are_refused(change, message):
    bank = make_bank()
    points = make_points(bank, 5)
    change(points, bank)
    with pytest.raises(ValueError, match=message):
        filter_bank(*points, bank)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({0: lambda t: t[0]}, "preactivations must be"),
        ({0: lambda t: t[:2]}, "preactivations must be"),
        ({0: lambda t: t.half()}, "float32 or float64"),
        ({1: lambda t: t[:-1]}, "bias must be"),
        ({3: lambda t: t[:-1]}, "grid features must be"),
        ({4: lambda t: t[:, :-1].contiguous()}, "need the Jacobian"),
        ({5: lambda t: t[:, :-1].contiguous()}, "bands must be"),
        ({6: lambda t: t[:-1]}, "the phase"),
        ({7: lambda _: 5}, "do not lie among the channels"),
        ({7: lambda _: -1}, "do not lie among the channels"),
        ({5: lambda t: t.double()}, "one type and device"),
        ({0: lambda t: t.transpose(0, 1).contiguous().transpose(0, 1)}, "contiguous"),
    ],
)
def test_the_operator_itself_never_reads_beyond_a_tensor(native, changes, message):
    arguments = [
        torch.rand(4, 7, 16), torch.rand(16), 2.0, torch.rand(7, 6), torch.rand(7, 6, 3), torch.rand(2, 16),
        torch.rand(16), 4,
    ]
    native.filter_bank_layer(*arguments)
    for place, change in changes.items():
        arguments[place] = change(arguments[place])
    with pytest.raises(RuntimeError, match=message):
        native.filter_bank_layer(*arguments)


def test_the_gradient_of_a_layer_must_be_of_its_shape(native):
    arguments = [torch.rand(1, 7, 16), torch.rand(16), 2.0, *[torch.empty(0)] * 4, 0]
    native.filter_bank_layer_gradient(torch.rand(1, 7, 16), *arguments)
    for wrong in (torch.rand(1, 6, 16), torch.rand(1, 7, 16).double(), torch.rand(16, 7, 1).permute(2, 1, 0)):
        with pytest.raises(RuntimeError, match="the gradient must be contiguous"):
            native.filter_bank_layer_gradient(wrong, *arguments)


def test_kernels_are_registered_for_the_cpu():
    assert backend._has_kernel("filter_bank_layer", "cpu") and backend._has_kernel("filter_bank_layer_gradient", "cpu")
