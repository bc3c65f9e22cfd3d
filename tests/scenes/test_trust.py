"""What is believed of each view."""

import cv2
import numpy as np
import pytest
import torch

from nsr.scenes.silhouettes import Silhouettes
from nsr.scenes.trust import GROSS_WEIGHT, assess_views, disagreeing_pixels
from nsr.scenes.visual_hull import VisualHull


def assess(scene, **options):
    masks = [scene.masks[view] for view in scene.train_views]
    cameras = scene.cameras.select(scene.train_views).to(torch.float32)
    silhouettes = Silhouettes(masks, cameras)
    trust = assess_views(scene, masks, cameras, silhouettes, **options)
    hull = VisualHull.carve(masks, cameras, 64, slacks=trust.slacks, silhouettes=silhouettes)
    return trust, hull


def test_a_good_scene_is_believed(sphere_scene):
    trust, hull = assess(sphere_scene)
    assert trust.remarks == [] and trust.contradicted == []
    assert (trust.weights == 1).all() and (trust.slacks == 0).all()
    assert trust.excluded_pixels(sphere_scene, hull) == {}


def test_a_wrong_mask_proves_nothing_and_is_not_trained_on_where_it_is_wrong(sphere_scene):
    right = sphere_scene.masks[3].clone()
    sphere_scene.masks[3] = right.clone()
    sphere_scene.masks[3][:, 31:] = False
    sphere_scene.masks[3][:10, :12] = True
    trust, hull = assess(sphere_scene)
    place = sphere_scene.train_views.index(3)
    assert trust.contradicted == [3] and np.isinf(trust.slacks[place])
    assert np.delete(trust.weights, place).tolist() == [1.0] * 6 and trust.weights[place] == GROSS_WEIGHT
    [remark] = trust.remarks
    assert "mask of view 3 disagrees" in remark and "prove nothing" in remark and "6 training views" in remark
    excluded = trust.excluded_pixels(sphere_scene, hull)
    assert list(excluded) == [3] and excluded[3].shape == right.shape
    wrong = sphere_scene.masks[3] != right
    assert excluded[3][wrong].float().mean() > 0.9
    pixels = disagreeing_pixels(hull, sphere_scene.masks[3], sphere_scene.cameras, 3)
    assert pixels[wrong.numpy()].mean() > 0.85 and pixels[~wrong.numpy()].mean() < 0.05
    # Of what agrees, the view's weight is left.
    agrees = ~torch.from_numpy(pixels)
    assert float((~excluded[3])[agrees].float().mean()) == pytest.approx(GROSS_WEIGHT, abs=0.03)


def test_a_slightly_wrong_mask_loses_what_it_is_wrong_by(sphere_scene):
    from scipy import ndimage

    mask = sphere_scene.masks[2].numpy()
    sphere_scene.masks[2] = torch.from_numpy(ndimage.distance_transform_edt(mask) > 3)
    trust, _ = assess(sphere_scene)
    place = sphere_scene.train_views.index(2)
    assert trust.contradicted == [2] and 0 < trust.slacks[place] < 0.08 and trust.weights[place] == 0.5


def test_held_out_views_are_not_looked_at(sphere_scene):
    held_out = sphere_scene.heldout_views[0]
    sphere_scene.masks[held_out][:] = False
    sphere_scene.images[held_out][:] = 255
    assert assess(sphere_scene)[0].remarks == []


def textured(scene, spoil):
    generator = np.random.default_rng(0)
    for view, image in enumerate(scene.images):
        noisy = image.numpy() // 2 + generator.integers(0, 100, image.shape, dtype=np.uint8)
        noisy = cv2.GaussianBlur(noisy, (0, 0), 0.5)
        scene.images[view] = torch.from_numpy(spoil(noisy) if view == 3 else noisy)


@pytest.mark.parametrize("sigma", [2, 4])
def test_blurred_pictures_are_used_less(sphere_scene, sigma):
    textured(sphere_scene, lambda image: cv2.GaussianBlur(image, (0, 0), sigma))
    trust, _ = assess(sphere_scene)
    weights = dict(zip(trust.views, trust.weights))
    assert "view 3 is blurred" in trust.remarks[0] and len(trust.remarks) == 1
    assert 0.1 <= weights.pop(3) < 0.9 and set(weights.values()) == {1.0}


def test_the_more_blurred_the_less(sphere_scene):
    weights = []
    for sigma in (0.9, 1.2, 2):
        textured(sphere_scene, lambda image: cv2.GaussianBlur(image, (0, 0), sigma))
        weights.append(assess(sphere_scene)[0].weights[3])
    assert weights[0] > weights[1] >= weights[2]


def test_overexposed_pictures_and_duplicates_are_used_less(sphere_scene):
    image = sphere_scene.images[6].clone()
    bright = (image > 60).any(-1) & (torch.arange(image.shape[1]) < 32)
    share = float(bright[sphere_scene.masks[6]].float().mean())
    image[bright] = 255
    sphere_scene.images[6] = image
    sphere_scene.images[1] = sphere_scene.images[0].clone()
    trust, _ = assess(sphere_scene)
    weights = dict(zip(trust.views, trust.weights))
    assert weights[6] == pytest.approx(1 - share, abs=0.01) and weights[0] == weights[1] == 0.5
    assert weights[2] == weights[3] == weights[5] == weights[7] == 1
    assert any("view 6 is overexposed" in remark for remark in trust.remarks)
    assert sum("the same picture as another" in remark for remark in trust.remarks) == 2


def test_rough_cameras_are_told_of(sphere_scene):
    generator = torch.Generator().manual_seed(0)
    sphere_scene.cameras.poses[:, :3, 3] += 0.12 * torch.randn(8, 3, generator=generator).to(sphere_scene.cameras.poses)
    trust, _ = assess(sphere_scene, camera_noise=0.0)
    assert any("cameras are rough; train.camera_noise = " in remark for remark in trust.remarks)
