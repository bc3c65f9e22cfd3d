"""Pictures of renders."""

import numpy as np
from nsr.rendering.pictures import depth_picture, normal_picture
from nsr.scenes.pictures import as_uint8


def test_colours_are_rounded_and_cut():
    assert as_uint8(np.array([-0.1, 0.0, 0.5, 1.0, 1.7])).tolist() == [0, 0, 128, 255, 255]


def test_normals_are_seen_from_the_camera():
    rotation = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])  # columns: the camera's right, down and forward
    right, down, forward = rotation.T
    normal = np.stack([right, -down, -forward, np.zeros(3)])[None]
    picture = normal_picture(normal, np.array([[True, True, True, False]]), rotation)
    assert picture[0].tolist() == [[255, 128, 128], [128, 255, 128], [128, 128, 255], [255, 255, 255]]


def test_near_is_bright_and_far_is_dark():
    depth = np.array([[1.0, 1.5, 2.0, 9.0, 0.0]])
    picture = depth_picture(depth, np.array([[True, True, True, True, False]]), 1.0, 2.0).astype(int)
    brightness = picture[0].sum(1)
    assert brightness[0] > brightness[1] > brightness[2] == brightness[3]
    assert picture[0, 4].tolist() == [255, 255, 255]
    assert picture[0, 0, 0] > 200 > picture[0, 0, 2]  # yellow: red and green, little blue
    assert depth_picture(depth, np.ones((1, 5), bool), 2.0, 2.0).shape == (1, 5, 3)
