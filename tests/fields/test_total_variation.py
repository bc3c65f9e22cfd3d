"""The total variation of a hash grid against differences of neighbouring vertices."""

import pytest
import torch

from nsr.config.schema import EncodingConfig
from nsr.fields.encoding import make_encoding

LEVELS = dict(levels=2, log2_table=12, base_resolution=4, finest_resolution=7)


def dense_grid(vertex_values, **options):
    """A grid without hashing, each entry given by ``vertex_values(x, y, z)`` of its integer vertex."""
    grid = make_encoding(EncodingConfig("MultiResHash", LEVELS | options)).double()
    with torch.no_grad():
        grid.table.zero_()
        for level, resolution in enumerate(grid.layout.resolutions):
            assert not grid.layout.hashed(level)
            z, y, x = torch.meshgrid(*[torch.arange(resolution).double()] * 3, indexing="ij")
            values = torch.stack([vertex_values(x, y, z), -2 * vertex_values(x, y, z)], dim=-1).view(-1, 2)
            offset = grid.layout.offsets[level]
            grid.table[offset : offset + len(values)] = values
    return grid


def points(count=400):
    # Away from the upper border, where the last cell of a staggered grid wraps around.
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(0)).double() * 1.2 - 0.7


def test_a_linear_table_has_the_sum_of_its_squared_steps():
    grid = dense_grid(lambda x, y, z: 0.1 * x - 0.2 * y + 0.3 * z)
    steps = 0.1**2 + 0.2**2 + 0.3**2
    assert float(grid.total_variation(points()).detach()) == pytest.approx((1 + 4) / 2 * steps)


def test_a_constant_table_has_none():
    grid = dense_grid(lambda x, y, z: torch.full_like(x, 3.0))
    assert float(grid.total_variation(points()).detach()) < 1e-20


def test_it_does_not_depend_on_the_bound_of_the_grid():
    small = dense_grid(lambda x, y, z: torch.sin(x + 2 * y) * z, bound=0.5)
    large = dense_grid(lambda x, y, z: torch.sin(x + 2 * y) * z)
    torch.testing.assert_close(small.total_variation(points() / 2), large.total_variation(points()))


def test_as_a_loss_it_smooths_the_cells_it_sees_and_no_others():
    torch.manual_seed(0)
    grid = make_encoding(EncodingConfig("MultiResHash", LEVELS | {"amplitude": 1.0}))
    near = points(200).float() * 0.2 - 0.5
    before, table = grid.total_variation(near).detach(), grid.table.detach().clone()
    optimiser = torch.optim.SGD([grid.table], lr=0.3)
    for _ in range(100):
        optimiser.zero_grad()
        grid.total_variation(near).backward()
        optimiser.step()
    assert grid.total_variation(near) < 0.05 * before
    untouched = (grid.table == table).all(dim=1)
    assert untouched.float().mean() > 0.5 and not untouched.all()
