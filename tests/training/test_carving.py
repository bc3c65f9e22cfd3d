"""What gives way to the background: renderings whose errors are known."""

import pytest
import torch

from nsr.rendering.volume import CoveredBackground, VolumeRendering
from nsr.training.carving import CELLS, DEMANDED, START, Carving
from nsr.training.pixel_sampler import PixelBatch

HERE, THERE = [0.5, 0.5, 0.5], [-0.5, -0.5, -0.5]


def rays_at(*groups, others=10):
    """A rendering and its batch: per group a place, how many opaque rays see it, and the errors of object and of
    background on each; then rays that see through."""
    points = torch.cat([torch.tensor([place]).expand(count, 3) for place, count, _, _ in groups])
    errors = [
        torch.cat([torch.as_tensor(group[side], dtype=torch.float32).expand(group[1]) for group in groups])
        for side in (2, 3)
    ]
    count = len(points)
    total = count + others
    rgb = torch.zeros(total, 3)
    rgb[others:, 0] = errors[0]
    behind = torch.zeros(count, 3)
    behind[:, 1] = errors[1]
    rays = torch.arange(others, total)
    sdf = torch.zeros(count, requires_grad=True)
    empty = torch.empty(0)
    rendering = VolumeRendering(
        empty, torch.arange(total), rgb, torch.zeros(total), empty, empty, empty, empty, empty,
        CoveredBackground(rays, points, sdf, behind),
    )  # fmt: skip
    masked = torch.ones(total, dtype=torch.bool)
    views, grey = torch.zeros(total, dtype=torch.int64), torch.zeros(total, 3)
    batch = PixelBatch(views, torch.zeros(total, 2), grey, masked, torch.ones(total))
    return rendering, batch, sdf


def pushes(carving, groups, progress=1.0):
    """The gradient on each ray's SDF, times the rays of the batch."""
    rendering, batch, sdf = rays_at(*groups)
    loss = carving(rendering, batch, progress)
    if not loss.requires_grad:
        return torch.zeros(len(sdf))
    return torch.autograd.grad(loss, sdf)[0] * len(batch.mask)


def test_the_surface_is_pushed_in_where_the_background_explains_more_and_nowhere_else():
    push = pushes(Carving(), [(HERE, 4, 0.5, 0.2), (THERE, 6, 0.1, 0.6)])
    assert push.tolist() == [-1.0] * 4 + [0.0] * 6  # down the gradient the SDF rises: the surface recedes


def test_places_are_judged_and_not_rays():
    """Of five rays two are against the rest."""
    object_errors = torch.tensor([0.9, 0.9, 0.1, 0.1, 0.1])
    assert not pushes(Carving(), [(HERE, 5, object_errors, 0.7)]).any()
    assert not pushes(Carving(), [(HERE, 5, 0.25, object_errors)]).any()
    assert (pushes(Carving(), [(HERE, 5, 0.4, object_errors)]) == -1).all()


def test_neighbours_are_heard():
    """A cell whose own few rays say nothing sure belongs to what is round it."""
    beside = [HERE[0] + 2 / CELLS, *HERE[1:]]
    push = pushes(Carving(), [(HERE, 1, 0.5, 0.2), (beside, 20, 0.1, 0.6)])
    assert not push.any()


def test_more_is_demanded_of_the_object_as_the_stage_goes_on():
    between = sum(DEMANDED) / 2
    group = [(HERE, 5, 0.4, 0.4 * between)]
    assert not pushes(Carving(), group, START).any()
    assert (pushes(Carving(), group, 1.0) == -1).all()
    assert not pushes(Carving(), [(HERE, 5, 0.4, 0.41 * DEMANDED[1])], 1.0).any()


def test_before_its_time_nothing_gives_way_but_note_is_taken():
    carving = Carving()
    assert not pushes(carving, [(HERE, 50, 0.5, 0.2)], START - 0.01).any()
    assert (pushes(carving, [(HERE, 5, 0.2, 0.5)], START) == -1).all()  # fifty rays outweigh five


def test_it_forgets():
    carving = Carving()
    for _ in range(100):
        pushes(carving, [(HERE, 5, 0.5, 0.2)])
    assert (pushes(carving, [(HERE, 5, 0.2, 0.5)]) == -1).all()
    for _ in range(100):
        push = pushes(carving, [(HERE, 5, 0.2, 0.5)])
    assert not push.any()


@pytest.mark.parametrize("place", [[1.5, 0.0, 0.0], [-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])
def test_the_border_is_a_place_too(place):
    assert (pushes(Carving(), [(place, 3, 0.5, 0.2)]) == -1).all()


def test_no_opaque_rays():
    rendering, batch, sdf = rays_at((HERE, 0, 0.1, 0.1))
    assert Carving()(rendering, batch, 1.0) == 0
