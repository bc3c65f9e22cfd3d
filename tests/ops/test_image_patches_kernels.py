"""The CUDA kernels of patches without a GPU: run by g++ under sanitizers, against the operators of the CPU."""

import struct
import subprocess

import pytest
import torch


@pytest.fixture(scope="module")
def emulated(sanitized):
    """The kernels as a program of the CPU."""
    return sanitized("emulated_image_patches.cpp")


def run_kernels(program, folder, pairs, views, levels, pixels, told=None):
    """Samples, their slopes, correlations, their slopes, and what is inside and whole."""
    values, frames, homographies, centres, reference, patch, sources, spacing, level, least_variance = pairs
    side, numbers = round(reference.shape[1] ** 0.5), homographies.dtype
    header = struct.pack(
        "12q2d", *values.shape, told or values.shape[1], *frames.shape[:2], numbers == torch.float64,
        *pixels.shape[:2], len(homographies), len(reference), side, level, spacing, least_variance,
    )  # fmt: skip
    blocks = (values, frames, views, levels, pixels, homographies, centres, reference, patch, sources)
    problem, results = folder / "problem", folder / "results"
    problem.write_bytes(b"".join([header, *(block.contiguous().numpy().tobytes() for block in blocks)]))
    done = subprocess.run([program, problem, results], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    raw = bytearray(results.read_bytes())
    shapes = [(*pixels.shape[:2], len(values)), (*pixels.shape[:2], len(values), 2)]
    shapes += [(len(homographies),), tuple(homographies.shape)]
    parts, place = [], 0
    for shape, dtype in [*((shape, numbers) for shape in shapes), (pixels.shape[:2], torch.bool),
                         ((len(homographies),), torch.bool)]:  # fmt: skip
        count = torch.Size(shape).numel()
        parts.append(torch.frombuffer(raw, dtype=dtype, count=count, offset=place).view(shape))
        place += count * dtype.itemsize
    assert place == len(raw)
    return parts


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_kernels_under_sanitizers_agree_with_the_cpu_operators(
    native, emulated, patch_pairs, tmp_path, channels, dtype
):
    pairs = patch_pairs(channels, dtype)
    generator = torch.Generator().manual_seed(3)
    pixels = (torch.rand(90, 7, 2, generator=generator, dtype=torch.float64) * 90 - 5).to(dtype)
    pixels[0, 0] = torch.nan
    views, levels = torch.arange(90) % 4 - 1, torch.arange(90) % 5 - 1  # some are none
    taken, taken_slopes, alike, slopes, inside, whole = run_kernels(emulated, tmp_path, pairs, views, levels, pixels)
    values, frames, *tensors, spacing, level, least = pairs
    side = round(tensors[2].shape[1] ** 0.5)
    wanted_taken, wanted_inside, wanted_taken_slopes = native.picture_samples(
        values, frames, views, levels, pixels, True
    )
    wanted_alike, wanted_whole, wanted_slopes = native.patch_correlation(
        values, frames, *tensors, side, spacing, level, least, True
    )
    assert torch.equal(inside, wanted_inside) and torch.equal(whole, wanted_whole)
    assert inside.any() and whole.any()
    tolerance = 2e-5 if dtype == torch.float32 else 1e-13
    for got, wanted in ((taken, wanted_taken), (taken_slopes, wanted_taken_slopes), (alike, wanted_alike)):
        assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()
    assert ((slopes - wanted_slopes).abs() <= tolerance * wanted_slopes.abs().amax(0)).all()


def test_the_sanitizer_sees_pictures_beyond_their_buffer(emulated, patch_pairs, tmp_path):
    values, frames, *rest = patch_pairs(1, torch.float32)
    frames = frames.clone()
    frames[0, 0, 0] = values.shape[1] - 50
    views, pixels = torch.zeros(2, dtype=torch.int64), torch.full((2, 3, 2), 9.0)
    run_kernels(emulated, tmp_path, (values, frames, *rest), views, views, pixels)
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_kernels(emulated, tmp_path, (values, frames, *rest), views, views, pixels, told=2 * values.shape[1])
