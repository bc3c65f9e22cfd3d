"""Pixels drawn for a step are the photographs' own."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.training.pixel_sampler import PixelSampler

SIZES = [(20, 31), (17, 12), (25, 25), (9, 40)]


@pytest.fixture
def scene():
    """Four views of four sizes; each pixel's colour tells its view, row and column; view 2 is held out."""
    images, masks = [], []
    for view, (height, width) in enumerate(SIZES):
        rows, columns = np.mgrid[:height, :width]
        colour = np.stack([np.full_like(rows, 60 * view), columns, rows], axis=-1)
        images.append(torch.from_numpy(colour.astype(np.uint8)))
        masks.append(torch.from_numpy((abs(rows - height / 2) < 3) & (abs(columns - width / 2) < 4)))
    cameras = Cameras(torch.eye(3).expand(4, 3, 3), torch.eye(4).expand(4, 4, 4))
    return Scene("sizes", images, masks, cameras, np.eye(4), [0, 1, 3], [2])


@pytest.mark.parametrize("anywhere", [1.0, 0.2, 0.0])
def test_pixels_colours_and_masks_belong_together(scene, anywhere):
    torch.manual_seed(0)
    batch = PixelSampler(scene, torch.device("cpu"), anywhere).draw(3000)
    assert batch.pixels.shape == (3000, 2) and batch.rgb.shape == (3000, 3)
    assert set(batch.views.tolist()) == {0, 1, 3}
    bytes_ = ((batch.rgb + 1) * 127.5).round().int()
    assert torch.equal(bytes_[:, 0], 60 * batch.views.int())
    assert torch.equal(bytes_[:, 1:], batch.pixels.int())
    for view, (u, v), inside in zip(batch.views.tolist(), batch.pixels.long().tolist(), batch.mask.tolist()):
        assert scene.masks[view][v, u] == inside


def test_every_pixel_of_every_training_view_can_be_drawn(scene):
    torch.manual_seed(0)
    batch = PixelSampler(scene, torch.device("cpu")).draw(40000)
    drawn = {(view, *pixel) for view, pixel in zip(batch.views.tolist(), map(tuple, batch.pixels.long().tolist()))}
    assert len(drawn) == sum(SIZES[view][0] * SIZES[view][1] for view in (0, 1, 3))
    counts = np.bincount(batch.views.numpy(), minlength=4) / 40000
    areas = np.array([SIZES[view][0] * SIZES[view][1] if view != 2 else 0 for view in range(4)])
    np.testing.assert_allclose(counts, areas / areas.sum(), atol=0.01)


def test_all_but_a_share_lies_on_and_near_the_masks(scene):
    torch.manual_seed(0)

    def far(anywhere):
        batch = PixelSampler(scene, torch.device("cpu"), anywhere).draw(4000)
        sizes = torch.tensor(SIZES)[batch.views].flip(1)
        distance = (batch.pixels - sizes / 2).abs() - torch.tensor([4.0, 3.0])
        return float((distance.amax(1) > 2.01).float().mean())

    everywhere = far(1.0)
    assert everywhere > 0.5
    assert far(0.0) == 0
    assert far(0.25) == pytest.approx(0.25 * everywhere, abs=0.02)


def test_scenes_whose_masks_are_empty_are_drawn_from_everywhere(scene):
    for mask in scene.masks:
        mask[:] = False
    batch = PixelSampler(scene, torch.device("cpu"), 0.1).draw(500)
    assert len(batch.views) == 500 and not batch.mask.any()


def test_images_stay_bytes(scene):
    assert PixelSampler(scene, torch.device("cpu")).rgb.dtype == torch.uint8


def test_pictures_are_in_memory_once(sphere_scene):
    before = [image.clone() for image in sphere_scene.images]
    sampler = PixelSampler(sphere_scene, torch.device("cpu"))
    for view, image in enumerate(sphere_scene.images):
        assert torch.equal(image, before[view])
    storages = {sphere_scene.images[view].untyped_storage().data_ptr() for view in sphere_scene.train_views}
    assert storages == {sampler.rgb.untyped_storage().data_ptr()}


def test_doubtful_pixels_are_never_drawn(sphere_scene):
    sampler = PixelSampler(sphere_scene, torch.device("cpu"), anywhere=0.5, margin=0.2, tolerance=0.04)
    batch = sampler.draw(20000)
    for view in sphere_scene.train_views:
        mask = sphere_scene.masks[view].numpy()
        outside = ndimage.distance_transform_edt(~mask)
        u, v = batch.pixels[batch.views == view].long().unbind(1)
        drawn = outside[v, u]
        assert not ((drawn > 0) & (drawn <= 0.04 * max(mask.shape))).any()
        assert (drawn > 0.2 * max(mask.shape)).any() and (drawn == 0).any()


def test_colours_of_mixed_pixels_weigh_little(sphere_scene):
    masks = sphere_scene.masks
    masks[0][:] = True  # says nothing of an outline
    masks[1][:, :30] = True  # cut by the frame, which is no outline
    masks[2][:] = False
    batch = PixelSampler(sphere_scene, torch.device("cpu"), anywhere=0.5, mixed_width=3.0).draw(20000)
    for view in sphere_scene.train_views:
        mask = masks[view].numpy()
        depth = ndimage.distance_transform_edt(mask)
        drawn = batch.views == view
        u, v = batch.pixels[drawn].long().unbind(1)
        mixed = (mask & (depth <= 3) & (not mask.all()))[v, u]
        weights = batch.colour_weight[drawn].numpy()
        assert np.allclose(weights[mixed], 0.1) and (weights[~mixed] == 1).all()
        assert mixed.any() == (view not in (0, 2))
    assert (PixelSampler(sphere_scene, torch.device("cpu")).draw(2000).colour_weight == 1).all()


@pytest.mark.parametrize("anywhere", [1.0, 0.4, 0.0])
def test_excluded_pixels_are_never_drawn_and_all_others_are(scene, anywhere):
    excluded = torch.from_numpy(np.random.default_rng(0).random(SIZES[1]) < 0.7)
    torch.manual_seed(0)
    sampler = PixelSampler(scene, torch.device("cpu"), anywhere, margin=1.0, excluded={1: excluded})
    batch = sampler.draw(30000)
    u, v = batch.pixels[batch.views == 1].long().unbind(1)
    assert not excluded[v, u].any()
    drawn = torch.zeros_like(excluded)
    drawn[v, u] = True
    assert torch.equal(drawn, ~excluded)
    share = float((batch.views == 1).float().mean())
    left = int((~excluded).sum())
    assert share == pytest.approx(left / (left + 20 * 31 + 9 * 40), abs=0.015 if anywhere == 0 else 0.05)


def test_a_scene_without_a_pixel_to_train_on_is_refused(scene):
    everything = {view: torch.ones(SIZES[view], dtype=torch.bool) for view in scene.train_views}
    with pytest.raises(SceneError, match="no pixel is left"):
        PixelSampler(scene, torch.device("cpu"), excluded=everything)
