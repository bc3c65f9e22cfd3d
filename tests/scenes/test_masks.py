"""Masks made from pictures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nsr.errors import SceneError
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.masks import make_mask, make_masks
from nsr.scenes.pictures import read_mask


@pytest.fixture
def ring_and_speck() -> np.ndarray:
    """Grey 200 ring of radii 10 and 20, and a speck, on grey 30."""
    v, u = np.mgrid[:60, :80]
    radius = np.hypot(u - 40, v - 30)
    grey = np.where((radius < 20) & (radius > 10), 200, 30).astype(np.uint8)
    grey[2:5, 2:5] = 200
    return grey


def test_options_do_what_they_say(ring_and_speck):
    v, u = np.mgrid[:60, :80]
    radius = np.hypot(u - 40, v - 30)
    ring, disc = (radius < 20) & (radius > 10), radius < 20
    speck = np.zeros((60, 80), bool)
    speck[2:5, 2:5] = True
    np.testing.assert_array_equal(make_mask(ring_and_speck), disc)
    np.testing.assert_array_equal(make_mask(ring_and_speck, fill_holes=False), ring)
    np.testing.assert_array_equal(make_mask(ring_and_speck, largest_component=False), disc | speck)
    np.testing.assert_array_equal(make_mask(255 - ring_and_speck, invert=True), disc)
    np.testing.assert_array_equal(make_mask(ring_and_speck, threshold=0.5), disc)
    assert not make_mask(ring_and_speck, threshold=0.9).any()


def test_a_folder_of_photographs_gets_its_silhouettes(sphere_scene_folder, sphere_truth):
    """The sphere on grey 40 is brighter than .17 of white nearly everywhere, and what is not is enclosed."""
    paths = make_masks(sphere_scene_folder / "image", sphere_scene_folder / "made", threshold=0.17)
    assert [path.name for path in paths] == [f"{view:03d}.png" for view in range(8)]
    for view, path in enumerate(paths):
        made, true = read_mask(path), sphere_truth.render(view)[1]
        assert (made & true).sum() / (made | true).sum() > 0.98
    (sphere_scene_folder / "mask").rename(sphere_scene_folder / "old")
    (sphere_scene_folder / "made").rename(sphere_scene_folder / "mask")
    assert len(load_scene(sphere_scene_folder)) == 8


def test_an_alpha_channel_is_the_mask(tmp_path, ring_and_speck):
    (tmp_path / "image").mkdir()
    picture = np.full((60, 80, 4), 90, np.uint8)
    picture[..., 3] = ring_and_speck
    cv2.imwrite(str(tmp_path / "image" / "a.png"), picture)
    [path] = make_masks(tmp_path / "image", tmp_path / "mask")
    np.testing.assert_array_equal(read_mask(path), make_mask(ring_and_speck))


def test_an_impossible_threshold_leaves_nothing(sphere_scene_folder):
    with pytest.raises(SceneError, match="000.png: the mask would be empty.*another threshold"):
        make_masks(sphere_scene_folder / "image", sphere_scene_folder / "made", threshold=0.99)
    assert not (sphere_scene_folder / "made").exists()
    with pytest.raises(SceneError, match="exists already"):
        make_masks(sphere_scene_folder / "image", sphere_scene_folder / "mask", threshold=0.17)
