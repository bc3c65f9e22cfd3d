import torch

from nsr.priors.networks.depth_super_resolution.interleave import VIEWS, deinterleave, interleave


def slowly_interleaved(views):
    """Pixel by pixel, as the definition says."""
    batch, _, height, width = views.shape
    fine = torch.empty(batch, 1, 2 * height, 2 * width)
    for sample in range(batch):
        for view, (row, column) in enumerate(VIEWS):
            for i in range(height):
                for j in range(width):
                    fine[sample, 0, 2 * i + row, 2 * j + column] = views[sample, view, i, j]
    return fine


def test_equals_the_loop_over_pixels():
    views = torch.rand(2, 4, 5, 7)
    assert torch.equal(interleave(views), slowly_interleaved(views))


def test_views_of_a_map_are_its_shifted_decimations():
    fine = torch.rand(2, 1, 6, 8)
    views = deinterleave(fine)
    for view, (row, column) in enumerate(VIEWS):
        assert torch.equal(views[:, view], fine[:, 0, row::2, column::2])
    assert torch.equal(interleave(views), fine)
