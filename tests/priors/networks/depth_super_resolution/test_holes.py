import pytest
import torch

from nsr.priors.networks.depth_super_resolution.holes import fill_holes


def test_valid_pixels_stay_and_holes_take_the_mean_of_their_block():
    depth = torch.tensor([[1.0, 2, 5, 7], [3, torch.nan, 6, 6]])[None, None]
    filled = fill_holes(depth, (~depth.isnan()).float())
    assert filled[0, 0].tolist() == [[1, 2, 5, 7], [3, 2, 6, 6]]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (8, 8), (1, 6)])
def test_one_valid_pixel_fills_a_map_of_any_size(size):
    depth, mask = torch.full((2, 1, *size), torch.inf), torch.zeros(2, 1, *size)
    depth[:, :, -1, -1], mask[:, :, -1, -1] = 3, 1
    assert torch.allclose(fill_holes(depth, mask), torch.full((2, 1, *size), 3.0))


def test_maps_of_a_batch_do_not_mix_and_one_without_valid_pixels_is_zero():
    depth = torch.stack([torch.full((1, 4, 4), 2.0), torch.full((1, 4, 4), 9.0)])
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, 0, 1, 2] = 1
    filled = fill_holes(depth, mask)
    assert torch.allclose(filled[0], torch.tensor(2.0)) and torch.equal(filled[1], torch.zeros(1, 4, 4))
