"""Depths along rays: ordered, in their parts, and where the weight is."""

import torch

from nsr.rendering.samples import depths_by_weight, even_depths


def test_even_depths_reach_both_ends_and_stay_in_their_parts():
    torch.manual_seed(0)
    near, far = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([1.5, 1.2, 2.0])
    depths = even_depths(near, far, 10)
    assert depths.shape == (3, 11)
    torch.testing.assert_close(depths[:, 0], near)
    torch.testing.assert_close(depths[:, -1], far)
    assert (depths.diff(dim=1) >= 0).all()
    even = near[:, None] + (far - near)[:, None] * torch.linspace(0, 1, 11)
    assert ((depths - even).abs() <= (far - near)[:, None] / 20 + 1e-6).all()
    assert not torch.equal(even_depths(near, far, 10)[0], depths[0])


def test_depths_by_weight_cover_the_band_and_follow_the_distribution():
    torch.manual_seed(1)
    depths = torch.linspace(0, 1, 11).expand(4000, -1)
    weights = torch.zeros(4000, 10)
    weights[:, 4], weights[:, 5] = 0.75, 0.25
    found = depths_by_weight(depths, weights, 12)
    assert found.shape == (4000, 13) and (found.diff(dim=1) >= 0).all()
    # A tenth of each is shared with the neighbours, so the band is sections 3 to 6.
    torch.testing.assert_close(found[:, 0], torch.full((4000,), 0.3))
    torch.testing.assert_close(found[:, -1], torch.full((4000,), 0.7))
    # The inner depths' positions are even between half a step from either end.
    cumulative = torch.tensor([0.0, 0.075, 0.85, 1.175, 1.2]) / 1.2
    shares = ((cumulative * 12 - 0.5) / 11).clamp(0, 1).diff()
    inner = found[:, 1:-1]
    counts = torch.stack([((inner >= low) & (inner < low + 0.1)).float().mean() for low in (0.3, 0.4, 0.5, 0.6)])
    torch.testing.assert_close(counts, shares, atol=0.01, rtol=0)


def test_two_layers_are_both_in_the_band():
    depths = torch.linspace(0, 1, 21).expand(50, -1)
    weights = torch.zeros(50, 20)
    weights[:, 3] = weights[:, 16] = 0.5
    found = depths_by_weight(depths, weights, 10)
    assert (((found > 0.1) & (found < 0.25)).sum(1) >= 4).all() and (((found > 0.75) & (found < 0.9)).sum(1) >= 4).all()


def test_a_ray_without_weight_is_sampled_evenly():
    depths = torch.linspace(1, 2, 9).expand(20, -1)
    found = depths_by_weight(depths, torch.zeros(20, 8), 8)
    assert ((found - depths).abs() <= 0.0626).all()
