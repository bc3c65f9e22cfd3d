"""Masks that a run without masks takes from its own surface."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

import nsr.training.found_masks as found_masks
from nsr.errors import CheckpointError, NsrError
from nsr.rendering.bounds import intersect_sphere
from nsr.rendering.ray_tracing import Trace
from nsr.training.found_masks import find_masks, pack_masks, uncertain_width, unpack_masks
from nsr.training.pixel_sampler import PixelSampler


class Ball:
    """What a renderer's ``trace`` answers for a ball about the origin."""

    def __init__(self, radius):
        self.radius = radius

    def trace(self, origins, directions):
        bounds = intersect_sphere(origins, directions, self.radius)
        return Trace(bounds.near, bounds.meets, bounds.meets)


@pytest.mark.parametrize("longest, block", [(64, 1), (32, 2), (22, 3)])
def test_they_are_silhouettes_less_their_rims(sphere_scene, monkeypatch, longest, block):
    monkeypatch.setattr(found_masks, "LONGEST", longest)
    masks = find_masks(Ball(0.6), sphere_scene.cameras, sphere_scene)
    for view in sphere_scene.train_views:
        true = sphere_scene.masks[view].numpy()
        inner = ndimage.binary_erosion(true, np.ones((3, 3)), iterations=2 * block + 1, border_value=1)
        assert true.any() and not (masks[view].numpy() & ~true).any()
        assert inner.any() and masks[view].numpy()[inner].all()
    assert all(masks[view].all() for view in sphere_scene.heldout_views)


@pytest.mark.parametrize("longest", [64, 32, 22])
def test_pixels_of_the_object_are_never_taken_for_outside(sphere_scene, monkeypatch, longest):
    monkeypatch.setattr(found_masks, "LONGEST", longest)
    masks = find_masks(Ball(0.6), sphere_scene.cameras, sphere_scene)
    scene = dataclasses.replace(sphere_scene, masks=masks)
    sampler = PixelSampler(scene, torch.device("cpu"), anywhere=0.5, margin=1.0, tolerance=uncertain_width(scene))
    batch = sampler.draw(20000)
    outside = 0
    for view in scene.train_views:
        v, u = batch.pixels[batch.views == view].long().flip(1).unbind(1)
        taken = ~batch.mask[batch.views == view]
        assert not sphere_scene.masks[view][v, u][taken].any()
        outside += int(taken.sum())
    assert outside > 1000


def test_nothing_to_be_seen_is_said(sphere_scene):
    with pytest.raises(NsrError, match="nothing has formed inside the unit sphere; give the run masks"):
        find_masks(Ball(0.0), sphere_scene.cameras, sphere_scene)


def test_packed_masks_come_back(sphere_scene):
    generator = torch.Generator().manual_seed(3)
    odd = [torch.rand(5, 3 + view, generator=generator) < 0.5 for view in range(len(sphere_scene))]
    scene = dataclasses.replace(sphere_scene, masks=odd)
    packed = pack_masks(odd)
    assert all(len(bits) == -(-mask.numel() // 8) for bits, mask in zip(packed, odd))
    assert all(torch.equal(a, b) for a, b in zip(unpack_masks(packed, scene, Path("1.pt")), odd, strict=True))
    for other in (odd[:-1], [*odd[:-1], odd[-1].repeat(2, 1)]):
        with pytest.raises(CheckpointError, match="1.pt: the masks that it found .* continue on the scene"):
            unpack_masks(packed, dataclasses.replace(sphere_scene, masks=other), Path("1.pt"))
