"""Wrong masks are found by what all pairs of views say, and only they."""

import numpy as np
import pytest
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.coherence import SLACK, compare_masks, consistent_part
from nsr.scenes.silhouettes import Silhouettes


def compare(truth, masks, cameras=None, **options):
    cameras = cameras or truth.cameras.to(torch.float32)
    return compare_masks(masks, cameras, Silhouettes(masks, cameras), **options)


@pytest.fixture
def masks(sphere_truth):
    return [torch.from_numpy(sphere_truth.render(view)[1]) for view in range(8)]


def test_good_masks_contradict_nobody(sphere_truth, masks):
    coherence = compare(sphere_truth, masks)
    assert coherence.trusted.all() and (coherence.misses == 0).all()
    assert coherence.contradictions.max() == 0 and coherence.noise < SLACK


def half(mask):
    mask = mask.clone()
    mask[:, 31:] = False
    return mask


def shifted(mask):
    return torch.roll(mask, (8, 10), (0, 1))


def too_much(mask):
    mask = mask.clone()
    mask[:20] = True
    return mask


@pytest.mark.parametrize("spoil", [half, shifted, too_much, torch.zeros_like], ids=["half", "shifted", "more", "empty"])
@pytest.mark.parametrize("wrong", [[5], [1, 6]])
def test_wrong_masks_are_named(sphere_truth, masks, spoil, wrong):
    for view in wrong:
        masks[view] = spoil(masks[view])
    coherence = compare(sphere_truth, masks)
    assert np.flatnonzero(~coherence.trusted).tolist() == wrong
    assert (coherence.misses[coherence.trusted] == 0).all()
    # What has too much leaves nothing out: its outline may still be believed from outside.
    assert (coherence.misses[wrong] > 0.08).all() == (spoil is not too_much)


def test_a_miss_is_the_distance_by_which_a_mask_leaves_the_object_out(sphere_truth, masks):
    """A disc that is smaller by r pixels leaves out a shell of r pixels' width at the object's distance."""
    from scipy import ndimage

    masks[2] = torch.from_numpy(ndimage.distance_transform_edt(masks[2].numpy()) > 5)
    coherence = compare(sphere_truth, masks)
    assert np.flatnonzero(~coherence.trusted).tolist() == [2]
    # Rays start 1.5 to 3.5 pixels inside the outline; samples are up to 0.016 off.
    pixel = 3.0 / 70
    assert 1.0 * pixel < coherence.misses[2] < 4.5 * pixel


def test_masks_that_are_all_full_say_nothing(sphere_truth, masks):
    coherence = compare(sphere_truth, [torch.ones_like(mask) for mask in masks])
    assert coherence.trusted.all() and coherence.contradictions.max() == 0


def test_rough_cameras_are_noise_and_nobodys_fault(sphere_truth, masks):
    exact = sphere_truth.cameras.to(torch.float32)
    generator = torch.Generator().manual_seed(0)
    rough = Cameras(exact.intrinsics, exact.poses.clone())
    rough.poses[:, :3, 3] += 0.12 * torch.randn(8, 3, generator=generator)
    coherence = compare(sphere_truth, masks, rough)
    assert coherence.noise > 0.03
    assert compare(sphere_truth, masks, rough, camera_noise=0.5).contradictions.max() == 0


def test_no_view_after_the_first_is_looked_at_with_the_wrong_camera(sphere_truth, masks):
    """Contradictions are indexed [whose ray, whose mask]."""
    masks[4] = half(masks[4])
    contradictions = compare(sphere_truth, masks).contradictions
    others = [view for view in range(8) if view != 4]
    assert contradictions[others][:, 4].mean() > 0.05
    assert contradictions[np.ix_(others, others)].max() == 0


def parts(sizes, between, within=(0.0, 0.0)):
    side = np.repeat([0, 1], sizes)
    matrix = np.where(side[:, None] == side, np.array(within)[side][:, None], between)
    np.fill_diagonal(matrix, 0)
    return matrix, side


def test_the_larger_of_two_sittings_is_trusted():
    matrix, side = parts((35, 24), 0.004)
    order = np.random.default_rng(0).permutation(59)
    kept = consistent_part(matrix[np.ix_(order, order)])
    np.testing.assert_array_equal(kept, side[order] == 0)


def test_views_without_evidence_stay():
    matrix, _ = parts((20, 12), 0.004)
    matrix[30:], matrix[:, 30:] = 0, 0
    np.testing.assert_array_equal(consistent_part(matrix), [True] * 20 + [False] * 10 + [True] * 2)


def test_noise_that_all_views_share_condemns_nobody():
    random = np.random.default_rng(0)
    for _ in range(20):
        noise = random.exponential(0.03, size=(30, 30))
        noise = (noise + noise.T) * ~np.eye(30, dtype=bool)
        assert consistent_part(noise).all()
        noise[7, :], noise[:, 7] = 0.5, 0.5
        noise[7, 7] = 0
        assert np.flatnonzero(~consistent_part(noise)).tolist() == [7]


@pytest.mark.parametrize("count", [1, 3, 4])
def test_few_views_cannot_outvote_each_other(count):
    assert consistent_part(np.ones((count, count)) - np.eye(count)).all()


def test_equal_halves_accuse_nobody():
    matrix, _ = parts((10, 10), 0.1)
    assert consistent_part(matrix).all()


def test_the_two_sittings_of_the_tankard_are_told_apart(data_root):
    """Lid and poses disagree a little between views 0-39 and 40-66."""
    from nsr.scenes.idr_folder import load_scene

    scene = load_scene(data_root / "tankard_two_sittings")
    cameras = scene.cameras.to(torch.float32)
    coherence = compare(None, scene.masks, cameras)
    accused = np.flatnonzero(~coherence.trusted)
    assert len(accused) >= 10 and accused.min() >= 40
    scene = load_scene(data_root / "tankard")
    assert compare(None, scene.masks, scene.cameras.to(torch.float32)).trusted.all()
