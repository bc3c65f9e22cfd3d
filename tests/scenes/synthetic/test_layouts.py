"""Camera layouts: where they stand and what they look at."""

import math

import numpy as np
import pytest
import torch

from nsr.scenes.synthetic.layouts import LAYOUTS, layout_cameras, look_at_origin


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 7, 32])
def test_every_camera_sees_the_origin_in_the_middle(layout, count):
    cameras = layout_cameras(layout, count, 48, 64, 40.0, 3.0, 30.0)
    assert len(cameras) == count
    pixels, depth = cameras.project(torch.arange(count), torch.zeros(count, 3, dtype=torch.float64))
    torch.testing.assert_close(pixels, torch.tensor([[31.5, 23.5]]).double().expand(count, 2), atol=1e-9, rtol=0)
    torch.testing.assert_close(depth, torch.full((count,), 3.0).double())
    rotation = cameras.poses[:, :3, :3]
    eye = torch.eye(3).double().expand(count, 3, 3)
    torch.testing.assert_close(rotation.transpose(1, 2) @ rotation, eye, atol=1e-12, rtol=0)
    assert (torch.linalg.det(rotation) > 0).all()


def test_up_is_up_in_the_image():
    cameras = layout_cameras("ring", 5, 64, 64, 40.0, 3.0, 20.0)
    pixels, _ = cameras.project(torch.arange(5), torch.tensor([[0.0, 0, 0.3]]).double().expand(5, 3))
    assert (pixels[:, 1] < 31.5).all()
    torch.testing.assert_close(pixels[:, 0], torch.full((5,), 31.5).double(), atol=1e-9, rtol=0)


def test_field_of_view_spans_the_outer_edges_of_the_image():
    cameras = layout_cameras("ring", 1, 20, 30, 50.0, 3.0, 0.0)
    _, edges = cameras.rays(torch.zeros(2, dtype=torch.int64), torch.tensor([[-0.5, 9.5], [29.5, 9.5]]).double())
    assert math.degrees(math.acos(edges[0] @ edges[1])) == pytest.approx(50.0)


def test_fibonacci_sphere_is_even():
    directions = LAYOUTS["sphere"](64, 0.0)
    assert np.abs(directions.mean(0)).max() < 0.02
    np.testing.assert_allclose(directions.T @ directions / 64, np.eye(3) / 3, atol=0.02)
    nearest = np.sort(np.arccos(np.clip(directions @ directions.T, -1, 1)), axis=1)[:, 1]
    assert np.degrees(nearest.min()) > 15


def test_ring_and_path_keep_their_elevations():
    np.testing.assert_allclose(LAYOUTS["ring"](12, 25.0)[:, 2], math.sin(math.radians(25)))
    heights = LAYOUTS["path"](50, 40.0)[:, 2]
    assert (np.diff(heights) > 0).all()
    assert heights[0] > -math.sin(math.radians(40)) and heights[-1] < math.sin(math.radians(40))


def test_a_camera_straight_above_is_a_rotation():
    pose = look_at_origin(np.array([[0.0, 0.0, 3.0]]))[0]
    np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(pose[:3, 2], [0, 0, -1])
