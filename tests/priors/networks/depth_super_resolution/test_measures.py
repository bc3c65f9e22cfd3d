import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from nsr.priors.networks.depth_super_resolution.measures import EDGE_REACH, JUMP, measure, near_edges


@pytest.fixture
def stepped():
    """A square in front of a slope, with a hole beside it."""
    rows, columns = torch.meshgrid(torch.arange(30.0), torch.arange(40.0), indexing="ij")
    depth = (2 + 0.01 * rows + 0.003 * columns)[None]
    depth[0, 8:20, 10:22] = 1
    mask = torch.ones(1, 30, 40)
    mask[0, 12:16, 20:26] = 0
    return depth, mask


def test_edges_are_within_three_pixels_of_a_jump_between_valid_neighbours(stepped):
    depth, mask = (values[0].numpy() for values in stepped)
    edge = np.zeros(depth.shape, bool)
    for row in range(30):
        for column in range(40):
            for other in ((row + 1, column), (row, column + 1)):
                if other[0] < 30 and other[1] < 40 and mask[row, column] and mask[other]:
                    nearer = min(depth[row, column], depth[other])
                    if abs(depth[row, column] - depth[other]) > JUMP * nearer:
                        edge[row, column] = edge[other] = True
    expected = binary_dilation(edge, np.ones((2 * EDGE_REACH + 1,) * 2)) & (mask > 0)
    np.testing.assert_array_equal(near_edges(*stepped)[0].numpy() > 0, expected)
    assert 0 < expected.sum() < mask.sum()


def test_figures_of_the_whole_its_edges_and_its_interiors(stepped):
    truth, mask = stepped
    edges = near_edges(truth, mask) > 0
    depth = truth + torch.where(edges, 0.03, -0.004) + torch.where(mask > 0, 0.0, 50.0)
    figures = measure(depth, truth, mask)
    assert figures["edges_rmse_mm"] == pytest.approx(30, rel=1e-4)
    assert figures["interiors_mad_mm"] == pytest.approx(4, rel=1e-3)
    share = float(edges.sum() / mask.sum())
    rmse = (share * 30**2 + (1 - share) * 4**2) ** 0.5
    assert figures["rmse_mm"] == pytest.approx(rmse, rel=1e-3)
    assert figures["mad_mm"] == pytest.approx(share * 30 + (1 - share) * 4, rel=1e-3)
    span = float(truth[mask > 0].max() - truth[mask > 0].min()) * 1000
    assert figures["psnr_db"] == pytest.approx(20 * np.log10(span / rmse), abs=0.01)
