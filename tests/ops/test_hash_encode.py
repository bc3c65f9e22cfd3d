"""The hash encoding against an independent numpy implementation, finite differences and autograd."""

import math

import numpy as np
import pytest
import torch

from nsr.ops.hash_encode import GridLayout, hash_encode, hash_encode_reference

# the first level is dense, the others are hashed
MIXED = dict(levels=4, log2_table=8, base_resolution=4, finest_resolution=24)


def layout_of(features):
    return GridLayout(features=features, **MIXED)


def published_encoding(positions, table, layout):
    """One point, one level, one corner at a time, as the paper and its grid's definition say it; numpy float64."""
    result = np.zeros((len(positions), layout.levels * layout.features))
    growth = math.exp(math.log(layout.finest_resolution / layout.base_resolution) / (layout.levels - 1))
    first_row = 0
    for level in range(layout.levels):
        scale = layout.base_resolution * growth**level - 1
        resolution = math.ceil(round(scale, 6)) + 1
        rows = min(math.ceil(resolution**3 / 8) * 8, 2**layout.log2_table)
        for n, position in enumerate(positions):
            grid = position * scale + 0.5
            lower = np.floor(grid).astype(int)
            total = np.zeros(layout.features)
            for corner in np.ndindex(2, 2, 2):
                x, y, z = (int(v) for v in lower + corner)
                if resolution**3 <= rows:
                    row = (x + y * resolution + z * resolution**2) % rows
                else:
                    row = (x ^ (y * 2654435761) ^ (z * 805459861)) % 2**32 % rows
                weight = np.prod([f if c else 1 - f for c, f in zip(corner, grid - lower)])
                total += weight * table[first_row + row]
            result[n, level * layout.features : (level + 1) * layout.features] = total
        first_row += rows
    assert first_row == len(table)
    return result


def random_case(count, features, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    layout = layout_of(features)
    table = torch.randn(layout.entries, features, generator=generator, dtype=dtype)
    return torch.rand(count, 3, generator=generator, dtype=dtype), table, layout


def inside_cells(positions, layout, margin=1e-3):
    """Those positions which lie at least ``margin`` from every face between cells, on all levels."""
    fractions = torch.stack([(positions * scale + 0.5) % 1 for scale in layout.scales])
    return positions[((fractions > margin) & (fractions < 1 - margin)).all(0).all(1)]


def test_the_layout_holds_both_kinds_of_levels():
    layout = layout_of(2)
    assert [layout.hashed(level) for level in range(4)] == [False, True, True, True]
    assert (layout.resolutions[0], layout.resolutions[-1]) == (4, 24)
    assert layout.offsets[-1] + layout.sizes[-1] == layout.entries


@pytest.mark.parametrize("features", [1, 2, 4])
def test_values_are_those_of_the_published_definition(features):
    positions, table, layout = random_case(60, features)
    positions[:3] = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 0, 1]])
    expected = published_encoding(positions.numpy(), table.numpy(), layout)
    np.testing.assert_allclose(hash_encode(positions, table, layout)[0].numpy(), expected, atol=1e-12)
    single = hash_encode(positions.float(), table.float(), layout)[0]
    np.testing.assert_allclose(single.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("features", [1, 2, 4])
def test_the_jacobian_is_the_slope_inside_a_cell(features):
    positions, table, layout = random_case(40, features)
    positions = inside_cells(positions, layout)
    value, jacobian = hash_encode(positions, table, layout, jacobian=True)
    assert torch.equal(value, hash_encode(positions, table, layout)[0])
    step = 1e-5
    for axis in range(3):
        moved = np.eye(3)[axis] * step
        ahead, behind = (published_encoding(positions.numpy() + s * moved, table.numpy(), layout) for s in (1, -1))
        np.testing.assert_allclose(jacobian[..., axis].numpy(), (ahead - behind) / (2 * step), atol=1e-7)


@pytest.mark.parametrize("features", [1, 2, 4])
@pytest.mark.parametrize("jacobian", [False, True])
def test_gradients_and_their_gradients_in_double(features, jacobian):
    layout = GridLayout(2, features, 6, 3, 6)  # one dense level, one hashed
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(layout.entries, features, generator=generator, dtype=torch.float64, requires_grad=True)
    positions = inside_cells(torch.rand(6, 3, generator=generator, dtype=torch.float64), layout)[:2].requires_grad_()
    assert len(positions) == 2

    def encode(x, t):
        outputs = hash_encode(x, t, layout, jacobian)
        return outputs if jacobian else outputs[0]

    assert torch.autograd.gradcheck(encode, (positions, table), atol=1e-6)
    assert torch.autograd.gradgradcheck(encode, (positions, table), atol=1e-5)


@pytest.mark.parametrize("features", [1, 2, 4])
@pytest.mark.parametrize("used", ["features", "jacobian", "both"])
def test_the_backward_by_hand_is_autograds(features, used):
    positions, table, layout = random_case(300, features, dtype=torch.float32)
    generator = torch.Generator().manual_seed(2)
    weights = [
        torch.randn(300, 4 * features, generator=generator),
        torch.randn(300, 4 * features, 3, generator=generator),
    ]
    grads = []
    for function in (hash_encode, hash_encode_reference):
        x, t = positions.clone().requires_grad_(), table.clone().requires_grad_()
        outputs = function(x, t, layout, True)
        chosen = {"features": [0], "jacobian": [1], "both": [0, 1]}[used]
        sum((outputs[i] * weights[i]).sum() for i in chosen).backward()
        grads.append((x.grad, t.grad))
    for own, reference in zip(*grads):
        assert reference.abs().max() > 0
        torch.testing.assert_close(own, reference, rtol=1e-4, atol=1e-4 * float(reference.abs().max()))


def test_gradients_only_where_they_are_asked_for():
    positions, table, layout = random_case(10, 2)
    table.requires_grad_()
    features, jacobian = hash_encode(positions, table, layout, jacobian=True)
    (features.sum() + jacobian.sum()).backward()
    assert table.grad.abs().sum() > 0 and positions.grad is None
    positions.requires_grad_()
    features = hash_encode(positions, table.detach(), layout)[0]
    features.sum().backward()
    assert positions.grad.abs().sum() > 0


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_point(count):
    positions, table, layout = random_case(count, 2, dtype=torch.float32)
    positions.requires_grad_()
    table.requires_grad_()
    features, jacobian = hash_encode(positions, table, layout, jacobian=True)
    assert features.shape == (count, 8) and jacobian.shape == (count, 8, 3)
    (features.sum() + jacobian.square().sum()).backward()
    assert positions.grad.shape == (count, 3)
    assert (table.grad != 0).any() == bool(count)


def test_outside_is_the_nearest_point_inside_with_no_slope():
    _, table, layout = random_case(0, 2)
    outside = torch.tensor([[1.3, 0.4, 0.6], [0.2, -5.0, 0.6], [2.0, -1.0, 1e9]], dtype=torch.float64)
    features, jacobian = hash_encode(outside, table, layout, jacobian=True)
    at_border, border_jacobian = hash_encode(outside.clamp(0, 1), table, layout, jacobian=True)
    assert torch.equal(features, at_border)
    beyond = (outside < 0) | (outside > 1)
    assert (jacobian.transpose(1, 2)[beyond] == 0).all()
    assert torch.equal(jacobian.transpose(1, 2)[~beyond], border_jacobian.transpose(1, 2)[~beyond])


def test_positions_that_are_no_numbers_spoil_only_themselves():
    positions, table, layout = random_case(4, 2, dtype=torch.float32)
    clean = hash_encode(positions, table, layout)[0]
    positions[1] = float("nan")
    positions[2, 0] = float("inf")
    features, jacobian = hash_encode(positions, table, layout, jacobian=True)
    assert features[1].isnan().all()
    assert torch.equal(features[[0, 3]], clean[[0, 3]]) and jacobian[[0, 3]].isfinite().all()
    assert features[2].isfinite().all()


@pytest.mark.parametrize(
    ("positions", "table", "message"),
    [
        (torch.rand(5, 2), None, r"positions must be \[N, 3\], got \[5, 2\]"),
        (torch.rand(3), None, r"positions must be \[N, 3\]"),
        (torch.rand(5, 3), torch.rand(7, 2), r"table must be \[\d+, 2\], got \[7, 2\]"),
        (torch.rand(5, 3).double(), None, "must share one floating dtype"),
        (torch.ones(5, 3, dtype=torch.int64), None, "must share one floating dtype"),
        (torch.rand(5, 3, device="meta"), None, "positions are on meta, the table is on cpu"),
    ],
)
def test_what_does_not_fit_is_refused(positions, table, message):
    layout = layout_of(2)
    with pytest.raises(ValueError, match=message):
        hash_encode(positions, torch.rand(layout.entries, 2) if table is None else table, layout)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(levels=0), "levels must be at least 1, got 0"),
        (dict(features=0), "features must be at least 1"),
        (dict(base_resolution=64, finest_resolution=32), r"finest_resolution \(32\) is below base_resolution \(64\)"),
    ],
)
def test_impossible_layouts_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GridLayout(**options)
