import numpy as np
import pytest
import torch

from nsr.priors.networks.depth_super_resolution.interpolation import upsample
from nsr.priors.networks.depth_super_resolution.refinement import BETWEEN, JUMP, WINDOW, refine_edges


@pytest.mark.parametrize("turned", [False, True])
def test_an_interpolated_step_becomes_sharp(turned):
    step = torch.full((1, 1, 40, 40), 1.0)
    step[..., 20:] = 2
    step = step.mT if turned else step
    blurred = upsample(step[..., 2::4, 2::4], 4, 0.5)
    refined = refine_edges(blurred, window=9)
    assert (refined - step).abs().mean() < 0.4 * (blurred - step).abs().mean()
    in_the_air = ((refined > 1.2) & (refined < 1.8)).sum()
    assert in_the_air == 0 and ((blurred > 1.2) & (blurred < 1.8)).any()


@pytest.mark.parametrize("steepness", [0.002, 0.05])
def test_slopes_stay_exactly_however_steep(steepness):
    rows = torch.arange(30.0)
    slope = (1 + steepness * (rows[:, None] + 0.3 * rows[None]))[None, None]
    inner = (..., slice(2, -2), slice(2, -2))
    assert torch.equal(refine_edges(slope)[inner], slope[inner])


def test_it_is_the_mean_of_the_nearer_end_window_by_window():
    random = np.random.default_rng(0)
    depth = 1 + 0.01 * random.random((12, 14))
    depth[:, 7:] += 0.5
    depth[:, 6] += 0.2
    reach = WINDOW // 2
    expected = depth.copy()
    for row in range(12):
        for column in range(14):
            rows = np.clip(np.arange(row - reach, row + reach + 1), 0, 11)
            columns = np.clip(np.arange(column - reach, column + reach + 1), 0, 13)
            seen = depth[np.ix_(rows, columns)].ravel()
            low, span = seen.min(), np.ptp(seen)
            ends = [seen[seen < low + 0.25 * span], seen[seen > low + 0.75 * span]]
            if span > JUMP * low and 1 - sum(map(len, ends)) / seen.size < BETWEEN:
                expected[row, column] = ends[int(depth[row, column] > low + span / 2)].mean()
    refined = refine_edges(torch.from_numpy(depth)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(refined, expected, rtol=1e-12)
    assert (refined != depth).any()
