"""CUDA kernels without a GPU: run by g++ under sanitizers, compiled for every architecture, linked and loaded."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nsr.ops import native_build
from nsr.ops.grid_layout import GridLayout
from nsr.ops.hash_encode_native import native_layout

CSRC = Path(__file__).resolve().parents[2] / "csrc"
NUMBERS = {torch.float32: 0, torch.float64: 1, torch.float16: 2}


@pytest.fixture(scope="module")
def emulated(sanitized):
    """The kernels as a program of the CPU."""
    return sanitized("emulated_kernels.cpp")


def run_kernels(program, folder, layout, positions, table, grad_features, grad_jacobian, quantum):
    """Features, Jacobian (or None) and both gradients, by the emulated kernels."""
    levels, scales = native_layout(layout)
    smoothstep, with_jacobian = layout.interpolation == "smoothstep", grad_jacobian is not None
    header = struct.pack(
        "8qd", len(positions), layout.features, layout.levels, smoothstep, NUMBERS[positions.dtype],
        NUMBERS[table.dtype], len(table), with_jacobian, quantum,
    )
    rows = [struct.pack("5qd", *row, scale) for row, scale in zip(levels.tolist(), scales.tolist(), strict=True)]
    blocks = [positions, table, grad_features, *([grad_jacobian] if with_jacobian else [])]
    problem, results = folder / "problem", folder / "results"
    problem.write_bytes(b"".join([header, *rows, *(block.numpy().tobytes() for block in blocks)]))
    done = subprocess.run([program, problem, results], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers = torch.frombuffer(bytearray(results.read_bytes()), dtype=positions.dtype)
    jacobian_shape = [grad_jacobian.shape] if with_jacobian else []
    shapes = [grad_features.shape, *jacobian_shape, table.shape, positions.shape]
    parts = numbers.split([shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


CASES = [
    ("linear", "hash", 2, torch.float32, torch.float32, 0.0),
    ("linear", "hash", 4, torch.float32, torch.float16, 0.0),
    ("smoothstep", "tiled", 8, torch.float32, torch.float32, 0.0),
    ("smoothstep", "hash", 1, torch.float64, torch.float64, 0.0),
    ("linear", "tiled", 2, torch.float64, torch.float64, 0.0),
    ("linear", "hash", 2, torch.float32, torch.float32, 2.0**-24),
    ("smoothstep", "hash", 8, torch.float32, torch.float32, 2.0**-24),
]


@pytest.mark.parametrize("with_jacobian", [True, False])
@pytest.mark.parametrize(("interpolation", "storage", "features", "dtype", "table_dtype", "quantum"), CASES)
def test_kernels_under_sanitizers_agree_with_the_cpu_operator(
    native, emulated, tmp_path, interpolation, storage, features, dtype, table_dtype, quantum, with_jacobian
):
    layout = GridLayout(4, features, 7, 3, 20, interpolation, storage)
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(301, 3, dtype=dtype, generator=generator)
    positions[:3] = torch.tensor([[0, 1, 0.5], [-1, 0.2, 2], [1, 1, 1]], dtype=dtype)
    table = torch.randn(layout.entries, features, generator=generator).to(table_dtype)
    width = layout.levels * features
    grad_features = torch.randn(301, width, dtype=dtype, generator=generator)
    grad_jacobian = torch.randn(301, width, 3, dtype=dtype, generator=generator) if with_jacobian else None

    got = run_kernels(emulated, tmp_path, layout, positions, table, grad_features, grad_jacobian, quantum)
    common = (positions, table, *native_layout(layout), interpolation == "smoothstep")
    gradients = (grad_features, grad_jacobian if with_jacobian else positions.new_empty(0))
    features_wanted, jacobian_wanted = native.hash_encode(*common, with_jacobian)
    wanted = [features_wanted, *([jacobian_wanted] if with_jacobian else [])]
    wanted += [native.hash_encode_table_gradient(*common, *gradients, 0.0)]
    wanted += [native.hash_encode_position_gradient(*common, *gradients)]
    tolerance = 2e-6 if dtype == torch.float32 else 1e-14
    for part, (a, b) in enumerate(zip(got, wanted, strict=True)):
        # A sum of some hundred contributions, each rounded to the quantum.
        rounding = 300 * quantum if part == len(got) - 2 else 0
        assert (a - b).abs().max() <= tolerance * b.abs().max() + rounding


def test_a_position_that_is_not_a_number_stays_inside_the_table(emulated, tmp_path):
    layout = GridLayout(4, 2, 7, 3, 20)
    positions = torch.full((5, 3), float("nan"))
    positions[1:, :2] = torch.tensor([[float("inf"), 0.5], [float("-inf"), 0.5], [1e30, -1e30], [0.5, 0.5]])
    table, grad = torch.ones(layout.entries, 2), torch.ones(5, 8)
    features, *_ = run_kernels(emulated, tmp_path, layout, positions, table, grad, torch.ones(5, 8, 3), 0.0)
    assert features.isnan().all()


def test_the_sanitizer_sees_a_table_that_is_too_short(emulated, tmp_path):
    layout = GridLayout(1, 2, 7, 3, 3)
    short = torch.ones(layout.entries - 20, 2)
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_kernels(emulated, tmp_path, layout, torch.ones(5, 3), short, torch.ones(5, 2), None, 0.0)


@pytest.fixture(scope="module")
def cuda_tools():
    try:
        return native_build.find_toolchain(cuda=True)
    except native_build.BuildError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def compiled_kernels(cuda_tools, tmp_path_factory):
    """Object files of all kernels for every architecture, and what the assembler said of each."""
    folder = tmp_path_factory.mktemp("objects")
    said = {}
    for source in native_build.source_files(CSRC):
        if source.suffix == ".cu":
            target = folder / f"{source.stem}.o"
            command = [*native_build.nvcc_command(cuda_tools), "-Xptxas", "-v", "-c", str(source), "-o", str(target)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            said[target] = done.stdout + done.stderr
    return said


def test_no_kernel_spills_registers_on_any_architecture(compiled_kernels, cuda_tools):
    for target, said in compiled_kernels.items():
        entries = re.findall(r"Compiling entry function '(\S+)' for 'sm_(\d+)'", said)
        assert {architecture for _, architecture in entries} == set(cuda_tools.architectures), target
        spills = re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", said)
        assert len(spills) >= len(entries) > 0
        assert set(spills) == {("0", "0")}, target


def test_a_library_with_cuda_serves_the_cpu_under_any_torch(compiled_kernels, cuda_tools, tmp_path):
    commands = [c for c in native_build.compile_commands(CSRC, cuda_tools, tmp_path) if c[0] != cuda_tools.nvcc]
    for command in commands:
        # Speed does not matter here, and -O0 compiles in a third of the time.
        fast = ["-O0" if flag in ("-O2", "-O3") else flag for flag in command]
        subprocess.run(fast, check=True, capture_output=True)
    library = tmp_path / "library.so"
    objects = [command[-1] for command in commands] + [str(path) for path in compiled_kernels]
    subprocess.run(native_build.link_command(cuda_tools, objects, library), check=True)
    code = (
        "import torch; from nsr.ops.grid_layout import GridLayout; from nsr.ops import hash_encode_native as native;"
        f"torch.ops.load_library({str(library)!r});"
        "layout = GridLayout(2, 2, 5, 2, 8);"
        "run = lambda x: native.HashEncodeNative.apply(x, torch.ones(layout.entries, 2), layout, True);"
        "features, jacobian = run(torch.rand(9, 3));"
        "assert (features - 1).abs().max() < 1e-6 and jacobian.abs().max() < 1e-4;"
        "assert torch._C._dispatch_has_kernel_for_dispatch_key('nsr::hash_encode', 'CUDA')"
    )
    environment = os.environ | {"PYTHONPATH": str(CSRC.parent / "code")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
