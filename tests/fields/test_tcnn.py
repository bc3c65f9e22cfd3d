"""Grids on tiny-cuda-nn: its definition is ours, its tables are exchanged, and who runs is said.

The library itself needs a GPU; a stand-in with its interface and its rules of differentiation takes its place.
"""

import logging
import sys
import types

import numpy as np
import pytest
import torch

import nsr.fields.tcnn as tcnn
from nsr.config.schema import EncodingConfig
from nsr.errors import ConfigError
from nsr.fields.encoding import make_encoding
from nsr.ops import backend
from nsr.ops.hash_encode import GridLayout, hash_encode, hash_encode_reference

SMALL = dict(levels=3, features=2, log2_table=8, base_resolution=4, finest_resolution=16)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing said yet, no backend forced, no library."""
    monkeypatch.setattr(backend, "_said", set())
    monkeypatch.delenv("NSR_BACKEND", raising=False)
    monkeypatch.setitem(sys.modules, "tinycudann", None)


def points(count=9, dtype=torch.float32):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(0), dtype=dtype) * 1.8 - 0.9


# --- the definition ------------------------------------------------------------------------------------------------


def published_levels(layout):
    """Scale, resolution and entries of each level as tiny-cuda-nn computes them, in float32."""
    options = tcnn.tcnn_options(layout)
    log2_growth = np.log2(np.float32(options["per_level_scale"]))
    for level in range(options["n_levels"]):
        scale = np.exp2(np.float32(level) * log2_growth) * np.float32(options["base_resolution"]) - np.float32(1)
        resolution = int(np.ceil(scale)) + 1
        dense = -(-(resolution**3) // 8) * 8
        yield scale, resolution, min(dense, 2 ** options["log2_hashmap_size"])


@pytest.mark.parametrize(
    ("levels", "log2_table", "base", "finest"),
    [(6, 15, 16, 512), (10, 17, 16, 512), (5, 19, 8, 23), (16, 19, 16, 2048), (7, 21, 16, 128), (1, 15, 16, 16)],
)
def test_levels_are_laid_out_as_there(levels, log2_table, base, finest):
    layout = GridLayout(levels, 2, log2_table, base, finest)
    for level, (scale, resolution, entries) in enumerate(published_levels(layout)):
        assert layout.scales[level] == pytest.approx(scale, rel=1e-5)
        assert layout.sizes[level] == entries
        if not layout.hashed(level):
            assert layout.resolutions[level] == resolution
    assert layout.offsets[0] == 0
    assert layout.entries == sum(entries for _, _, entries in published_levels(layout))


def test_a_vector_of_its_parameters_is_our_table_in_the_same_order():
    """Each value names its level, row and feature; a point in the middle of a cell reads eight known rows."""
    layout = GridLayout(**SMALL)
    vector = torch.arange(layout.entries * 2, dtype=torch.float32)
    table = tcnn.table_from_tcnn(vector, layout)
    assert torch.equal(tcnn.table_to_tcnn(table, layout), vector)
    for level, (scale, resolution, entries) in enumerate(published_levels(layout)):
        cell = np.array([1, 2, 1])
        position = torch.tensor((cell + 0.5 - 0.5) / scale, dtype=torch.float64).view(1, 3)
        rows = []
        for corner in np.ndindex(2, 2, 2):
            x, y, z = (int(v) for v in cell + corner)
            if resolution**3 <= entries:
                rows.append(x + y * resolution + z * resolution**2)
            else:
                rows.append((x ^ (y * 2654435761 % 2**32) ^ (z * 805459861 % 2**32)) % entries)
        first = layout.offsets[level]
        expected = [np.mean([vector[(first + row) * 2 + feature] for row in rows]) for feature in range(2)]
        found = hash_encode(position, table.double(), layout)[0][0, 2 * level : 2 * level + 2]
        assert found.tolist() == pytest.approx(expected, rel=1e-3)


def test_every_whole_scale_of_a_dense_level_keeps_its_vertices():
    for finest in range(20, 60):
        for levels in (2, 3, 5):
            layout = GridLayout(levels, 2, 19, 16, finest)
            assert layout.sizes == tuple(entries for _, _, entries in published_levels(layout))


def test_a_tiled_grid_is_refused():
    with pytest.raises(ConfigError, match="storage = tiled has other table sizes in tiny-cuda-nn"):
        make_encoding(EncodingConfig("HashGridTcnn", dict(SMALL, storage="tiled")))


def test_tables_of_another_grid_are_refused():
    layout = GridLayout(**SMALL)
    with pytest.raises(ConfigError, match=r"parameters \[10\] does not fit: this one has"):
        tcnn.table_from_tcnn(torch.zeros(10), layout)
    with pytest.raises(ValueError, match="table must be"):
        tcnn.table_to_tcnn(torch.zeros(3, 2), layout)


# --- who runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "plain"), [("HashGridTcnn", "MultiResHash"), ("FFB_TCNN", "FFB")])
def test_without_the_library_it_is_the_same_encoding_and_says_so_once(name, plain, caplog):
    with caplog.at_level(logging.WARNING, logger="nsr"):
        ours = [make_encoding(EncodingConfig(name, dict(SMALL))) for _ in range(2)][0]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "tinycudann is not available" in told[0]
    other = make_encoding(EncodingConfig(plain, dict(SMALL)))
    other.load_state_dict(ours.state_dict())
    for found, expected in zip(ours.with_jacobian(points()), other.with_jacobian(points()), strict=True):
        assert torch.equal(found, expected)


def test_forced_and_missing_is_an_error(monkeypatch):
    monkeypatch.setenv("NSR_BACKEND", "tcnn")
    with pytest.raises(ConfigError, match="NSR_BACKEND=tcnn, but tinycudann cannot be imported"):
        make_encoding(EncodingConfig("HashGridTcnn", dict(SMALL)))


@pytest.mark.parametrize("backend", ["torch", "native"])
def test_another_backend_is_chosen_without_a_word(backend, monkeypatch, caplog):
    monkeypatch.setenv("NSR_BACKEND", backend)
    make_encoding(EncodingConfig("HashGridTcnn", dict(SMALL)))
    assert not caplog.records


class StandInEncoding(torch.nn.Module):
    """Interface of ``tinycudann.Encoding``: one flat parameter, positions in [0, 1], float32 out."""

    calls = 0

    def __init__(self, n_input_dims, encoding_config, dtype):
        super().__init__()
        assert n_input_dims == 3 and dtype == torch.float32
        levels, base = encoding_config["n_levels"], encoding_config["base_resolution"]
        finest = round(base * encoding_config["per_level_scale"] ** (levels - 1))
        features, log2_table = encoding_config["n_features_per_level"], encoding_config["log2_hashmap_size"]
        self.layout = GridLayout(levels, features, log2_table, base, finest, encoding_config["interpolation"].lower())
        self.params = torch.nn.Parameter(torch.zeros(self.layout.entries * features))

    def forward(self, x):
        type(self).calls += 1
        assert 0 <= x.min() and x.max() <= 1
        return hash_encode_reference(x, self.params.view(self.layout.entries, -1), self.layout)[0]


@pytest.fixture
def library(monkeypatch):
    """A library that is installed, and a device on which it runs."""
    monkeypatch.setattr(StandInEncoding, "calls", 0)
    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace(Encoding=StandInEncoding))
    monkeypatch.setattr(tcnn, "_can_run_on", lambda device: True)
    return StandInEncoding


@pytest.mark.parametrize(("name", "plain"), [("HashGridTcnn", "MultiResHash"), ("FFB_TCNN", "FFB")])
@pytest.mark.parametrize("interpolation", ["linear", "smoothstep"])
def test_with_the_library_values_jacobians_and_all_gradients_are_the_same(name, plain, interpolation, library):
    grid = dict(SMALL, amplitude=0.5, interpolation=interpolation)
    options = grid if plain == "MultiResHash" else dict(grid, width=8, w0=2.0)
    ours = make_encoding(EncodingConfig(name, options))
    other = make_encoding(EncodingConfig(plain, options))
    other.load_state_dict(ours.state_dict())
    results = []
    for encoding in (ours, other):
        x = torch.cat([points(), torch.tensor([[1.3, 0.2, -1.1]])]).requires_grad_(True)
        value, jacobian = encoding.with_jacobian(x)
        torch.testing.assert_close(encoding(x), value)
        loss = (value**2).sum() + (jacobian.norm(dim=1) - 1).square().sum()
        gradients = torch.autograd.grad(loss, [x, *encoding.parameters()])
        results.append([value, jacobian, *gradients])
    assert library.calls > 0
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * (1 + expected.detach().abs().max().item()))


def test_without_gradients_it_keeps_none(library):
    encoding = make_encoding(EncodingConfig("HashGridTcnn", dict(SMALL)))
    with torch.no_grad():
        value, jacobian = encoding.with_jacobian(points())
    assert not value.requires_grad and not jacobian.requires_grad
    assert [name for name, _ in encoding.named_parameters()] == ["table"]


def test_on_the_cpu_the_library_steps_aside_or_complains_when_forced(library, monkeypatch, caplog):
    monkeypatch.setattr(tcnn, "_can_run_on", lambda device: device.type == "cuda")
    make_encoding(EncodingConfig("HashGridTcnn", dict(SMALL)))(points())
    assert library.calls == 0
    assert ["needs a CUDA device" in record.getMessage() for record in caplog.records] == [True]
    monkeypatch.setenv("NSR_BACKEND", "tcnn")
    with pytest.raises(ConfigError, match="tiny-cuda-nn needs a CUDA device and this runs on cpu"):
        make_encoding(EncodingConfig("HashGridTcnn", dict(SMALL)))(points())
