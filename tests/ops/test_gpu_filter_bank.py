"""The filter bank on a GPU, against the CPU.  Skipped where torch sees no GPU."""

import pytest
import torch

from nsr.config.schema import EncodingConfig
from nsr.fields.encoding import make_encoding
from nsr.ops import backend

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    pytest.mark.usefixtures("native"),
]

OPTIONS = dict(
    levels=4, features=2, log2_table=12, base_resolution=4, finest_resolution=32, amplitude=0.2, width=48, outputs=20,
    base_sigma=0.7, w0=5.0, w1=4.0,
)
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def with_cuda():
    assert backend.runs_native("filter_bank_layer", torch.device("cuda")), backend.resolve().steps


def run(device, readout, dtype, count=700, jacobian=True):
    """Outputs of an encoding and the gradients of a random linear functional in all parameters, on the CPU."""
    torch.manual_seed(0)
    encoding = make_encoding(EncodingConfig("FFB", OPTIONS | {"readout": readout})).to(dtype)
    x = (torch.rand(count, 3, dtype=torch.float64) * 1.8 - 0.9).to(dtype)
    shapes = [(count, encoding.channels), (count, encoding.channels, 3)]
    weights = [torch.randn(*shape, dtype=torch.float64).to(dtype).to(device) for shape in shapes]
    encoding, x = encoding.to(device), x.to(device).requires_grad_()
    outputs = encoding.with_jacobian(x) if jacobian else [encoding(x)]
    loss = sum((output * weight).sum() for output, weight in zip(outputs, weights, strict=False))
    grads = torch.autograd.grad(loss, (x, *encoding.parameters()))
    return [t.detach().cpu() for t in (*outputs, *grads)]


@pytest.mark.parametrize("jacobian", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("readout", ["concat", "heads", "levels"])
def test_the_gpu_gives_what_the_cpu_gives(readout, dtype, jacobian):
    for got, wanted in zip(run("cuda", readout, dtype, jacobian=jacobian),
                           run("cpu", readout, dtype, jacobian=jacobian), strict=True):
        assert (got - wanted).abs().max() <= TOLERANCE[dtype] * wanted.abs().max()


def test_gradients_of_gradients():
    torch.manual_seed(0)
    encoding = make_encoding(EncodingConfig("FFB", OPTIONS | {"width": 6, "outputs": 2, "levels": 2}))
    encoding = encoding.double().to("cuda")
    x = (torch.rand(2, 3, dtype=torch.float64, device="cuda") - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(encoding.with_jacobian, (x,), fast_mode=True, nondet_tol=1e-9)
    assert torch.autograd.gradgradcheck(encoding.with_jacobian, (x,), fast_mode=True, atol=1e-4, nondet_tol=1e-9)


@pytest.mark.parametrize("count", [0, 1, 300_000])
def test_any_number_of_points(count):
    value, jacobian, grad_x, *_ = run("cuda", "concat", torch.float32, count)
    assert value.shape == (count, 23) and jacobian.shape == (count, 23, 3) and grad_x.shape == (count, 3)
    assert value.isfinite().all() and jacobian.isfinite().all()
