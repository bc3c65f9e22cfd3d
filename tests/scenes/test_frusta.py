"""Cameras as they are drawn."""

import numpy as np
import torch

from nsr.scenes.frusta import frustum_line, viewpoint


def test_the_pyramids_corners_project_on_the_pictures_corners(sphere_truth):
    cameras, (height, width) = sphere_truth.cameras, sphere_truth.size
    line = frustum_line(cameras, 3, sphere_truth.size, 0.2)
    assert np.isnan(line[-1]).all() and np.isfinite(line[:-1]).all()
    centre = cameras.centres[3].numpy()
    corners = line[:4]
    pixels, depth = cameras.project(torch.full((4,), 3), torch.from_numpy(corners))
    expected = [[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]]
    np.testing.assert_allclose(pixels.numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(depth.numpy(), 0.2, atol=1e-12)
    edges = {tuple(sorted((tuple(a), tuple(b)))) for a, b in zip(line[:-2].round(9), line[1:-1].round(9))}
    for corner in corners:
        assert tuple(sorted((tuple(corner.round(9)), tuple(centre.round(9))))) in edges


def test_drawings_are_first_looked_at_from_a_camera_and_upright(sphere_truth):
    eye, up = viewpoint(sphere_truth.cameras, [2, 3, 5])
    centre = sphere_truth.cameras.centres[2].numpy()
    np.testing.assert_allclose(eye, centre / np.linalg.norm(centre), atol=1e-12)
    assert up[2] > 0.7  # the scene's cameras hold z up
