"""The filter bank's CUDA kernels without a GPU: run by g++ under sanitizers, against the operator of the CPU."""

import struct
import subprocess

import pytest
import torch


@pytest.fixture(scope="module")
def emulated(sanitized):
    """The kernels as a program of the CPU."""
    return sanitized("emulated_filter_bank.cpp")


def make_layer(streams, features, width, dtype, count=67, first_channel=3):
    """Arguments of the operator, and a gradient in its result."""
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    channels = first_channel + features + 1
    nothing = torch.empty(0, dtype=dtype)
    band = [nothing] * 4
    if features:
        jacobian = numbers(count, channels, 3) if streams == 4 else nothing
        band = [numbers(count, channels), jacobian, numbers(features, width), numbers(width)]
    arguments = [numbers(streams, count, width), numbers(width), 2.5, *band, first_channel]
    return arguments, numbers(streams, count, width)


def run_kernels(program, folder, arguments, gradient):
    """Hidden state, the hidden state again, and the gradients in preactivations and phases."""
    preactivations, bias, frequency, grid, jacobian, bands, phase, first_channel = arguments
    streams, count, width = preactivations.shape
    features = bands.shape[0] if bands.numel() else 0
    channels = grid.shape[1] if features else 0
    is_double = preactivations.dtype == torch.float64
    header = struct.pack("7qd", count, streams, width, is_double, features, channels, first_channel, frequency)
    problem, results = folder / "problem", folder / "results"
    blocks = (preactivations, gradient, bias, grid, jacobian, bands, phase)
    problem.write_bytes(b"".join([header, *(block.numpy().tobytes() for block in blocks)]))
    done = subprocess.run([program, problem, results], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers = torch.frombuffer(bytearray(results.read_bytes()), dtype=preactivations.dtype)
    return numbers.view(-1, *preactivations.shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize(("features", "width"), [(2, 64), (3, 5), (0, 33)])
def test_kernels_under_sanitizers_agree_with_the_cpu_operator(
    native, emulated, tmp_path, features, width, streams, dtype
):
    arguments, gradient = make_layer(streams, features, width, dtype)
    hidden, again, *gradients = run_kernels(emulated, tmp_path, arguments, gradient)
    assert torch.equal(hidden, again)
    wanted = native.filter_bank_layer(*arguments)
    grad_preactivations, grad_phases, hidden_again = native.filter_bank_layer_gradient(gradient, *arguments)
    assert torch.equal(wanted, hidden_again)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    pairs = [(hidden, wanted), (gradients[0], grad_preactivations)]
    if features:
        pairs.append((gradients[1], grad_phases))
    assert len(gradients) == len(pairs) - 1
    for got, want in pairs:
        assert (got - want).abs().max() <= tolerance * want.abs().max()


def test_the_sanitizer_sees_channels_that_are_too_few(emulated, tmp_path):
    arguments, gradient = make_layer(1, 2, 8, torch.float32)
    arguments[7] = 5  # of six channels, the last and one beyond
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_kernels(emulated, tmp_path, arguments, gradient)
