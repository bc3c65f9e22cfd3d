"""What the tests of the compiled operators share."""

import dataclasses
import subprocess
from pathlib import Path

import pytest
import torch

from nsr.ops import backend, native_build
from nsr.ops.field_value import field_value_torch
from nsr.ops.grid_layout import GridLayout
from nsr.ops.grid_network import GridNetwork


@pytest.fixture(scope="session")
def native():
    """The compiled operators; a machine that cannot compile them skips, one that fails to does not."""
    try:
        native_build.find_toolchain(cuda=False)
    except native_build.BuildError as error:
        pytest.skip(f"nothing can be compiled here: {error}")
    resolution = backend.resolve()
    assert resolution.library is not None, resolution.steps
    return torch.ops.nsr


@pytest.fixture(params=["native", "torch"])
def body(request, monkeypatch):
    """Runs a test with the compiled body of operators, and with PyTorch's."""
    if request.param == "native":
        request.getfixturevalue("native")
    monkeypatch.setenv("NSR_BACKEND", request.param)
    return request.param


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory, native):
    """A function that compiles a program of this folder with address and undefined-behaviour sanitizers."""

    def build(name):
        program = tmp_path_factory.mktemp("programs") / Path(name).stem
        tools = native_build.find_toolchain(cuda=False)
        flags = ["-std=c++20", "-O1", "-g1", "-ffp-contract=off", "-Wno-psabi", "-Wno-ignored-attributes"]
        sanitizers = [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-static-libasan",
            "-static-libubsan",
        ]
        command = [tools.compiler, *flags, *sanitizers, str(Path(__file__).with_name(name)), "-o", str(program)]
        done = subprocess.run(command, capture_output=True, text=True)
        if "cannot find" in done.stderr:
            pytest.skip("this compiler has no sanitizers")
        assert done.returncode == 0, done.stderr
        return program

    return build


@pytest.fixture(scope="session")
def random_network():
    """``random_network(...)``: about the distance to a sphere, with bumps from the grid that make it no distance."""

    def make(layout=None, dims=(32, 32), beta=100.0, bound=1.0, seed=0, table_dtype=torch.float32, bumps=0.3):
        layout = layout or GridLayout(5, 2, 10, 4, 40)
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape):
            return torch.randn(*shape, generator=generator)

        channels = layout.levels * layout.features
        weights, biases, inputs = [], [], 3 + channels
        for width in dims:
            weight = normal(width, inputs) * (2 / width) ** 0.5
            if inputs == 3 + channels:
                weight[:, 3:] *= bumps
            weights.append(weight)
            biases.append(0.05 * normal(width))
            inputs = width
        weights.append((torch.pi / inputs) ** 0.5 * torch.ones(1, inputs) + 0.05 * normal(1, inputs))
        table = (torch.rand(layout.entries, layout.features, generator=generator) * 2 - 1).to(table_dtype)
        level_weights = torch.linspace(1, 0.4, layout.levels).repeat_interleave(layout.features)
        network = GridNetwork(
            layout, table, level_weights, bound, tuple(weights), (*biases, torch.zeros(1)), beta
        )
        # The constant is chosen so that about the same share of the ball is inside for every network.
        ball = torch.nn.functional.normalize(normal(500, 3), dim=1) * 0.6
        offset = field_value_torch(network, ball).median()
        return dataclasses.replace(network, biases=(*biases, -offset.reshape(1)))

    return make


@pytest.fixture(scope="session")
def random_rays():
    """``random_rays(count)``: origins at distance 2.5, unit directions towards a box about the origin; float32."""

    def make(count, seed=0, aim=0.75):
        generator = torch.Generator().manual_seed(seed)
        outward = torch.randn(count, 3, generator=generator)
        origins = 2.5 * torch.nn.functional.normalize(outward, dim=1)
        targets = aim * (torch.rand(count, 3, generator=generator) * 2 - 1)
        return origins, torch.nn.functional.normalize(targets - origins, dim=1)

    return make


@pytest.fixture(scope="session")
def smooth_pictures():
    """``smooth_pictures(channels, ...)``: a buffer and its frames, of several sizes; some pixels lie off the object."""
    return _smooth_pictures


@pytest.fixture(scope="session")
def patch_pairs():
    """``patch_pairs(channels, dtype)``: arguments of ``patch_correlation``, whose homographies are about the identity;
    some leave the frame."""
    return _patch_pairs


def _smooth_pictures(channels, views=3, levels=3, holes=True):
    generator = torch.Generator().manual_seed(channels)
    planes, frames, start = [], [], 0
    for view in range(views):
        row = []
        for level in range(levels):
            height, width = (60 + 7 * view) >> level, (80 - 9 * view) >> level
            waves = torch.rand(channels, 4, generator=generator) * 0.4 / 2**-level
            v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            shade = torch.stack([torch.sin(a * u + b * v) + torch.cos(c * u - d * v) for a, b, c, d in waves])
            plane = (128 + 60 * shade).clamp(1, 255).to(torch.uint8)
            if holes:
                plane[:, height // 2 : height // 2 + 2, : width // 4] = 0
            planes.append(plane.reshape(channels, -1))
            row.append([start, height, width])
            start += height * width
        frames.append(row)
    return torch.cat(planes, 1), torch.tensor(frames)


def _patch_pairs(channels, dtype, count=200, patches=40, level=1, side=5):
    generator = torch.Generator().manual_seed(7)

    def numbers(*shape):
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    values, frames = _smooth_pictures(channels)
    homographies = torch.eye(3, dtype=torch.float64) + torch.tensor([0.3, 0.3, 8.0]) * (numbers(count, 3, 3) - 0.5)
    homographies[:, 2] = torch.tensor([0, 0, 1.0]) + torch.tensor([4e-3, 4e-3, 0.2]) * (numbers(count, 3) - 0.5)
    homographies[::2, :2] *= 0.55  # a source that is farther away
    homographies[::7, :2] *= 2.5  # and nearer ones
    homographies[0] *= -1  # behind
    homographies[1] = torch.nan
    centres = torch.tensor([10.0, 10.0]) + torch.tensor([50.0, 40.0]) * numbers(patches, 2)
    reference = 20 + 200 * numbers(patches, side * side, channels)
    reference[0] = 90.0  # even: its variance is below the least
    patch = torch.arange(count) % patches
    sources = torch.arange(count) % 3
    tensors = [tensor.to(dtype) for tensor in (homographies, centres, reference)]
    return values, frames, *tensors, patch, sources, 2.0, level, 4.0
