"""Masks by brightness, by colour, and from files."""

from __future__ import annotations

import sys
import types

import cv2
import numpy as np
import pytest
from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.importing.object_masks import (
    MaskOptions,
    MattingNetwork,
    ProjectedSphere,
    find_mask,
    grabcut_mask,
    morphology,
    threshold_mask,
)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.fixture
def shadowed():
    """A light disc of radius 40 before black; a thin shadow cuts into it from the outside, and has a spot inside."""
    v, u = np.mgrid[:120, :160]
    disc = (u - 80) ** 2 + (v - 60) ** 2 < 40**2
    picture = np.where(disc, 200, 10).astype(np.uint8)
    picture[58:62, 90:130] = 10
    picture[40:48, 60:68] = 10
    return np.repeat(picture[..., None], 3, axis=2), disc


def test_shadows_are_closed_and_holes_filled(shadowed):
    picture, disc = shadowed
    options = MaskOptions(threshold=0.19, dilate=5, erode=5)
    assert iou(threshold_mask(picture, options), disc) > 0.99
    assert iou(threshold_mask(picture, MaskOptions(threshold=0.19)), disc) < 0.98  # the shadow is open to the outside
    kept = threshold_mask(picture, MaskOptions(threshold=0.19, dilate=1, erode=1, fill_holes=False))
    assert not kept[44, 64]


def test_the_frames_border_is_no_edge():
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, :20] = True
    np.testing.assert_array_equal(morphology(mask, 0, 3)[13:27, :17], True)
    assert not morphology(mask, 0, 3)[:13].any()
    assert morphology(mask, 3, 3).sum() == pytest.approx(mask.sum(), abs=4)


def test_grabcut_follows_the_colours_not_the_seeds():
    """A textured ellipse among clutter of other colours; seeds cover a small part of it."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:200, :240]
    ellipse = ((u - 130) / 50) ** 2 + ((v - 90) / 30) ** 2 < 1
    picture = np.empty((200, 240, 3), dtype=np.uint8)
    picture[...] = rng.integers(20, 90, (200, 240, 3))
    picture[ellipse] = np.array([150, 60, 40]) + rng.integers(0, 80, (ellipse.sum(), 3))
    inside = np.argwhere(ellipse & (np.abs(u - 130) < 30))[::150, ::-1].astype(float)
    outside = np.argwhere(~ellipse)[::900, ::-1].astype(float)
    sphere = ProjectedSphere(np.array([130.0, 90.0]), 70.0, inside, outside)
    assert iou(grabcut_mask(picture, sphere, MaskOptions()), ellipse) > 0.95
    without = ProjectedSphere(np.array([130.0, 90.0]), 70.0, np.zeros((0, 2)), np.zeros((0, 2)))
    assert iou(grabcut_mask(picture, without, MaskOptions()), ellipse) > 0.9


def test_grabcut_of_a_large_picture_is_made_at_a_smaller_size():
    picture = np.full((1500, 2000, 3), 30, dtype=np.uint8)
    cv2.circle(picture, (900, 700), 300, (220, 180, 60), -1)
    truth = picture[..., 0] > 100
    inside = np.argwhere(truth)[::4000, ::-1].astype(float)
    sphere = ProjectedSphere(np.array([900.0, 700.0]), 450.0, inside, np.zeros((0, 2)))
    mask = grabcut_mask(picture, sphere, MaskOptions())
    assert mask.shape == (1500, 2000) and iou(mask, truth) > 0.97


def test_grabcut_of_a_sphere_out_of_the_frame_is_empty():
    sphere = ProjectedSphere(np.array([-500.0, 20.0]), 50.0, np.zeros((0, 2)), np.zeros((0, 2)))
    assert not grabcut_mask(np.zeros((40, 50, 3), dtype=np.uint8), sphere, MaskOptions()).any()


@pytest.mark.parametrize("name", ["ü 1.png", "ü 1.jpg", "ü 1.JPG.png", "left/ü 1.png"])
def test_masks_are_found_by_their_photographs_name(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    Image.new("L", (4, 4)).save(path)
    assert find_mask(tmp_path, tmp_path / "elsewhere" / "ü 1.JPG", "left/ü 1.JPG") == path
    with pytest.raises(SceneError, match="there is no mask for left/b.JPG"):
        find_mask(tmp_path, tmp_path / "b.JPG", "left/b.JPG")


def test_without_rembg_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rembg", None)
    with pytest.raises(SceneError, match="pip install rembg"):
        MattingNetwork()


def test_a_matting_network_is_asked_for_its_mask_alone(monkeypatch):
    """A stand-in that answers as rembg does: grey values, 255 on the object; here, where the picture is light."""
    stand_in = types.ModuleType("rembg")
    stand_in.new_session = lambda: "session"
    stand_in.remove = lambda picture, session, only_mask: picture[..., 0] * (session == "session" and only_mask)
    monkeypatch.setitem(sys.modules, "rembg", stand_in)
    picture = np.full((20, 30, 3), 10, dtype=np.uint8)
    picture[5:15, 8:20] = 220
    np.testing.assert_array_equal(MattingNetwork().mask(picture, MaskOptions()), picture[..., 0] > 100)
