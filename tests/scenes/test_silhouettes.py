"""What masks prove about space."""

import numpy as np
import pytest
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.silhouettes import Silhouettes, signed_mask_distance


def brute_force(mask):
    """Distance from each pixel's centre to the nearest pixel of the other kind, less half a pixel."""
    here = np.argwhere(np.ones_like(mask)).reshape(*mask.shape, 2)
    result = np.zeros(mask.shape)
    for index in np.ndindex(mask.shape):
        others = np.argwhere(mask != mask[index])
        distance = np.linalg.norm(others - here[index], axis=1).min() - 0.5
        result[index] = -distance if mask[index] else distance
    return result


def test_distances_to_an_outline():
    mask = np.zeros((20, 30), bool)
    mask[6:12, 8:20] = True
    mask[8, 10] = False
    np.testing.assert_allclose(signed_mask_distance(mask), brute_force(mask), atol=1e-5)


def test_a_mask_that_the_border_cuts_goes_on_beyond_it():
    mask = np.zeros((20, 30), bool)
    mask[5:15, :10] = True
    distance = signed_mask_distance(mask)
    # Deep inside at the left border: the nearest background is above or below, not beyond the frame.
    assert distance[10, 0] == pytest.approx(-4.5)
    assert (distance[mask] < 0).all() and (distance[~mask] > 0).all()


def test_masks_of_one_kind():
    assert (signed_mask_distance(np.ones((6, 8), bool)) == -10).all()
    # An empty mask does not say that the object is not just beside the frame.
    empty = signed_mask_distance(np.zeros((6, 8), bool))
    assert empty[0, 0] == empty[5, 3] == 0.5 and empty[2, 4] == 2.5


def test_a_cut_object_may_be_anywhere_beyond_the_frame():
    """The object leaves the frame on the left; on the right, far from there, it may wait just outside."""
    mask = np.zeros((40, 60), bool)
    mask[15:25, :10] = True
    distance = signed_mask_distance(mask)
    rows, columns = np.mgrid[:40, :60]
    edge = np.minimum.reduce([rows, 39 - rows, columns, 59 - columns]) + 0.5
    assert (distance[~mask] <= edge[~mask]).all()
    assert distance[20, 58] == 1.5 and distance[20, 12] == pytest.approx(2.5)
    whole = np.zeros((40, 60), bool)
    whole[15:25, 2:10] = True
    assert signed_mask_distance(whole)[20, 58] == pytest.approx(48.5)


def wide_camera(size=(400, 400), focal=400.0):
    intrinsics = torch.tensor([[[focal, 0, (size[1] - 1) / 2], [0, focal, (size[0] - 1) / 2], [0, 0, 1]]])
    pose = torch.eye(4)[None].clone()
    pose[0, 2, 3] = -3.0
    return Cameras(intrinsics, pose)


def disc(size, radius):
    rows, columns = np.ogrid[: size[0], : size[1]]
    return torch.from_numpy((rows - (size[0] - 1) / 2) ** 2 + (columns - (size[1] - 1) / 2) ** 2 < radius**2)


@pytest.mark.parametrize("largest", [800, 200, 60])
def test_distances_in_space_are_those_to_the_cone(largest):
    """A disc of radius r pixels is a cone of tangent r / f; a point's distance to it is along the cone's normal."""
    silhouettes = Silhouettes([disc((400, 400), 60)], wide_camera(), largest)
    angle = torch.linspace(0, 6, 40)
    offset, depth = torch.linspace(0.1, 0.9, 40), torch.linspace(2.2, 3.6, 40)
    points = torch.stack([offset * angle.cos(), offset * angle.sin(), depth - 3], dim=1)
    distance, inside = silhouettes.distance(0, points)
    assert inside.all()
    blur = 400 / min(largest, 400)
    slope = np.arctan(60 / 400)
    exact = offset * np.cos(slope) - depth * np.sin(slope)
    torch.testing.assert_close(distance, exact, atol=0.007 * blur, rtol=0)


def test_distances_are_proven_far_off_the_axis_and_with_skew():
    """Against every ray through the mask: never too large by more than the pixels' own size, and not much too small."""
    intrinsics = torch.tensor([[[90.0, 12.0, 80.0], [0, 70.0, 60.0], [0, 0, 1]]])
    cameras = Cameras(intrinsics, torch.eye(4)[None])
    mask = torch.zeros(121, 161, dtype=torch.bool)
    mask[5:40, 10:60] = True  # up to 52 degrees off the axis
    silhouettes = Silhouettes([mask], cameras)
    v, u = mask.nonzero().unbind(1)
    _, rays = cameras.rays(torch.zeros(len(u), dtype=torch.long), torch.stack([u, v], 1).float())
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(400, 2, generator=generator) * torch.tensor([160.0, 120.0])
    _, directions = cameras.rays(torch.zeros(400, dtype=torch.long), pixels)
    points = directions * (1 + torch.rand(400, 1, generator=generator))
    along = (points @ rays.T).clamp_min(0)
    exact = (points.unsqueeze(1) - along.unsqueeze(2) * rays).norm(dim=2).amin(1)
    proven, inside = silhouettes.distance(0, points)
    outside = inside & (proven > 0)
    assert outside.sum() > 200
    assert (proven - exact)[outside].max() < 0.5 / 70 * 2
    ratio = (proven / exact)[outside & (exact > 0.2)]
    assert ratio.min() > 0.3 and ratio.median() > 0.6


def test_what_a_camera_cannot_see_is_unknown():
    silhouettes = Silhouettes([disc((400, 400), 60)], wide_camera())
    half = 200 / 400 * 3
    points = torch.tensor([[0.0, 0, -3.5], [half + 0.01, 0, 0], [half - 0.01, 0, 0], [0, -half - 0.01, 0], [0, 0, 0]])
    assert silhouettes.distance(0, points)[1].tolist() == [False, False, True, False, True]


def test_views_of_different_sizes_keep_their_own():
    small, large = wide_camera((40, 40), 40.0), wide_camera((400, 400), 400.0)
    cameras = Cameras(torch.cat([small.intrinsics, large.intrinsics]), torch.cat([small.poses, large.poses]))
    silhouettes = Silhouettes([disc((40, 40), 6), disc((400, 400), 60)], cameras)
    points = torch.tensor([[0.1, 0.2, 0.0], [0.5, -0.4, 0.3], [-0.7, 0.1, -0.2]])
    a, b = silhouettes.distance(0, points)[0], silhouettes.distance(1, points)[0]
    torch.testing.assert_close(a, b, atol=0.06, rtol=0)


def test_distances_are_computed_on_the_device_of_the_cameras(sphere_scene):
    """The meta device has shapes and no numbers, and refuses tensors of any other device, as a GPU does."""
    cameras = sphere_scene.cameras.to("meta")
    silhouettes = Silhouettes(sphere_scene.masks, cameras)
    distance, inside = silhouettes.distance(0, torch.zeros(5, 3, device="meta"))
    assert (distance.device.type, distance.shape) == ("meta", (5,))
    assert (inside.device.type, inside.shape) == ("meta", (5,))
