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
    assert (signed_mask_distance(np.zeros((6, 8), bool)) >= 9).all()


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
    """A disc of radius r pixels is a cone of slope r / f; points at depth z and offset a lie a - z r / f beside it."""
    silhouettes = Silhouettes([disc((400, 400), 60)], wide_camera(), largest)
    angle = torch.linspace(0, 6, 40)
    offset, depth = torch.linspace(0.1, 0.9, 40), torch.linspace(2.2, 3.6, 40)
    points = torch.stack([offset * angle.cos(), offset * angle.sin(), depth - 3], dim=1)
    distance, inside = silhouettes.distance(0, points)
    assert inside.all()
    blur = 400 / min(largest, 400)
    torch.testing.assert_close(distance, offset - depth * 60 / 400, atol=0.007 * blur, rtol=0)


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
