"""Patches of pictures on a GPU, against the CPU.  Skipped where torch sees no GPU."""

import pytest
import torch

from nsr.ops import backend
from nsr.ops.image_patches import patch_correlation, picture_samples

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
    pytest.mark.usefixtures("native"),
]

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def with_cuda():
    for operator in ("picture_samples", "patch_correlation"):
        assert backend.runs_native(operator, torch.device("cuda")), backend.resolve().steps


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_gpu_correlates_as_the_cpu_does(patch_pairs, channels, dtype):
    results = []
    for device in ("cpu", "cuda"):
        values, frames, homographies, *rest = (
            entry.to(device) if isinstance(entry, torch.Tensor) else entry for entry in patch_pairs(channels, dtype)
        )
        homographies.requires_grad_()
        alike, whole = patch_correlation(values, frames, homographies, *rest)
        alike.sum().backward()
        results.append([tensor.detach().cpu() for tensor in (whole, alike, homographies.grad)])
    (whole, alike, gradient), (whole_too, alike_too, gradient_too) = results
    assert torch.equal(whole, whole_too) and whole.any()
    assert (alike_too - alike).abs().max() <= TOLERANCE[dtype]
    assert ((gradient_too - gradient).abs() <= 10 * TOLERANCE[dtype] * gradient.abs().amax(0)).all()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_the_gpu_samples_as_the_cpu_does(smooth_pictures, dtype, count):
    values, frames = smooth_pictures(3)
    generator = torch.Generator().manual_seed(3)
    pixels = (torch.rand(count, 7, 2, generator=generator, dtype=torch.float64) * 90 - 5).to(dtype)
    views, levels = torch.arange(count) % 3, torch.arange(count) % 2
    results = []
    for device in ("cpu", "cuda"):
        leaf = pixels.to(device).requires_grad_()
        shown, inside = picture_samples(*(entry.to(device) for entry in (values, frames, views, levels)), leaf)
        shown.sum().backward()
        results.append([tensor.detach().cpu() for tensor in (inside, shown, leaf.grad)])
    (inside, shown, gradient), (inside_too, shown_too, gradient_too) = results
    assert torch.equal(inside, inside_too)
    assert ((shown_too - shown).abs() <= TOLERANCE[dtype] * 255).all()
    assert ((gradient_too - gradient).abs() <= TOLERANCE[dtype] * 255).all()
