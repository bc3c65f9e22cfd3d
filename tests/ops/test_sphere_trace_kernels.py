"""The tracer's and the field's CUDA kernels without a GPU: run by g++ under sanitizers, against the CPU operators."""

import dataclasses
import struct
import subprocess

import pytest
import torch

from nsr.config.schema import RayTracerConfig
from nsr.ops.field_value import field_value
from nsr.ops.grid_layout import GridLayout
from nsr.ops.sphere_trace import sphere_trace

CONFIG = RayTracerConfig(n_steps=12, n_closest=7, sphere_tracing_iters=6)


@pytest.fixture(autouse=True)
def compiled(native, monkeypatch):
    monkeypatch.setenv("NSR_BACKEND", "native")


@pytest.fixture(scope="module")
def emulated(sanitized):
    """The kernels as a program of the CPU."""
    return sanitized("emulated_sphere_trace.cpp")


def hull_grid():
    x, y, z = torch.meshgrid(*(torch.linspace(-1, 1, size) for size in (9, 12, 7)), indexing="ij")
    return (torch.stack([x, y, z]).abs().amax(0) - 0.7).half()


def run_kernels(program, folder, network, rays, config=CONFIG, training=None, hull=None, short=0):
    """Depth, hit, meets and the field's values at the origins, by the emulated kernels."""
    table, levels, scales, level_weights, parameters, form = network.native_arguments()
    smoothstep, layers, width, bound, beta = form.tolist()
    table = table[: len(table) - short]
    settings = (
        config.object_bounding_sphere, config.sdf_threshold, 1 - config.line_search_step, config.line_step_iters,
        config.sphere_tracing_iters, config.two_sided, config.n_steps, config.n_secant_steps, config.n_closest, 0.05,
    )
    origins, directions = rays
    sizes = (0, 0, 0) if hull is None else tuple(hull.shape)
    header = struct.pack(
        "13q12d", len(origins), len(table), table.shape[1], len(levels), table.dtype == torch.float16,
        int(smoothstep), int(layers), int(width), len(parameters), training is not None, *sizes, bound, beta, *settings,
    )
    rows = [struct.pack("5qd", *row, scale) for row, scale in zip(levels.tolist(), scales.tolist(), strict=True)]
    blocks = [table, level_weights, parameters, origins, directions, *(training or ())]
    blocks += [] if hull is None else [hull]
    problem, results = folder / "problem", folder / "results"
    problem.write_bytes(b"".join([header, *rows, *(block.contiguous().numpy().tobytes() for block in blocks)]))
    done = subprocess.run([program, problem, results], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    raw, count = results.read_bytes(), len(origins)
    depth, values = torch.frombuffer(bytearray(raw[: 8 * count]), dtype=torch.float32).split(count)
    hit, meets = torch.frombuffer(bytearray(raw[8 * count :]), dtype=torch.bool).split(count)
    return depth, hit, meets, values


CASES = {
    "two features": dict(layout=GridLayout(5, 2, 10, 4, 40), dims=(64, 64)),
    "one feature, tiled": dict(layout=GridLayout(4, 1, 8, 3, 40, "linear", "tiled"), dims=(32,)),
    "smoothstep, half": dict(
        layout=GridLayout(3, 4, 9, 5, 20, "smoothstep"), dims=(32, 32, 32), bound=1.5, table_dtype=torch.float16
    ),
}


@pytest.mark.parametrize("two_sided", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_kernels_under_sanitizers_agree_with_the_cpu_operators(
    emulated, tmp_path, random_network, random_rays, case, two_sided
):
    network, rays = random_network(**CASES[case]), random_rays(150)
    rays[0][3, 1] = float("nan")
    config = dataclasses.replace(CONFIG, two_sided=two_sided)
    training = (torch.arange(150) % 3 != 0, torch.rand(150, 7, generator=torch.Generator().manual_seed(0)))
    for these, hull in ((training, hull_grid()), (None, None)):
        depth, hit, meets, values = run_kernels(emulated, tmp_path, network, rays, config, these, hull)
        bounds = () if hull is None else (hull, 0.05)
        wanted = sphere_trace(network, *rays, config, *(these or (None, None)), *bounds)
        assert torch.equal(meets, wanted[2]) and torch.equal(hit, wanted[1])
        # One ray in a hundred may end elsewhere within the threshold, by the last bits of a value.
        far = (depth - wanted[0]).abs() > 1e-5
        assert far.sum() <= 1 and (depth - wanted[0]).nan_to_num().abs().max() < 1e-3
        assert torch.equal(depth.isnan(), wanted[0].isnan())
        difference = values - field_value(network, rays[0])
        largest = network.biases[-1].abs().maximum(values.nan_to_num().abs().max())
        assert difference.isnan().sum() == 1 and difference.nan_to_num().abs().max() <= 2e-6 * largest


def test_the_sanitizer_sees_a_table_that_is_too_short(emulated, tmp_path, random_network, random_rays):
    network = random_network(dims=(32,))
    with pytest.raises(AssertionError, match="heap-buffer-overflow"):
        run_kernels(emulated, tmp_path, network, random_rays(3), short=500)
