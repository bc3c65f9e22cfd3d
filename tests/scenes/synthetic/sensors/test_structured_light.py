"""Projected lines, the depth on them, and depth maps of few pixels."""

import numpy as np
import pytest

from nsr.errors import SceneError
from nsr.scenes.synthetic.sensors.low_resolution import decimated_depth
from nsr.scenes.synthetic.sensors.structured_light import (
    GridProjector,
    interpolated_depth,
    pattern_picture,
    sparse_depth,
)

FOCAL = 500.0


def plane(height=96, width=120, tilt=0.001):
    row, column = np.indices((height, width), dtype=float)
    return 1.0 / (1.0 + tilt * (column - width / 2) + 0.5 * tilt * (row - height / 2))


def test_lines_stand_where_the_projector_sees_them():
    depth = np.full((60, 200), 0.8)
    projector = GridProjector(0.1, pitch=20.0, line_width=2.0)
    light = projector.lines(depth, FOCAL)
    # a facing plane: vertical lines every 20 columns, shifted by f b / z = 62.5 pixels
    between = light[10]  # halfway between horizontal lines
    centres = [62.5 + 20 * k for k in range(-3, 7)]
    for column in range(200):
        expected = np.clip(1.5 - min(abs(column - centre) for centre in centres), 0, 1)
        assert between[column] == pytest.approx(expected)
    assert (light[20] == 1).all()


def test_lines_bend_with_depth_and_stop_in_shadow():
    depth = np.full((41, 200), 1.0)
    depth[:, 120:160] = 0.5
    projector = GridProjector(0.1, pitch=20.0)
    light = projector.lines(depth, FOCAL)
    assert (light[20, 70:120] == 0).all() and (light[20, 20:70] == 1).all()  # 50 columns hidden on the left
    depth[5:8, 180] = 0
    assert (projector.lines(depth, FOCAL)[5:8, 180] == 0).all()


def test_the_pattern_shines_on_what_is_bright_and_faces_it():
    lines = np.array([[0.0, 1.0, 1.0, 1.0]])
    picture = pattern_picture(lines, np.array([[1.0, 1.0, 0.5, 1.0]]), np.array([[1.0, 1.0, 1.0, -0.3]]), ambient=0.2)
    assert picture.tolist() == [[51, 255, 128, 0]]


def test_sparse_samples_are_exact_and_a_plane_in_disparity_is_nearly_interpolated():
    depth = plane()
    depth[:10, :10] = 0
    lines = GridProjector(0.1, pitch=16.0).lines(depth, FOCAL)
    sparse = sparse_depth(depth, lines)
    known = sparse > 0
    assert 0.05 < known.mean() < 0.5 and (sparse[known] == depth[known].astype(np.float32)).all()
    dense = interpolated_depth(sparse, depth > 0)
    assert (dense[known] == sparse[known]).all() and (dense[depth == 0] == 0).all()
    inside = (dense > 0) & ~known
    assert inside.sum() > 0.5 * (depth > 0).sum()
    assert np.abs(dense - depth)[inside].max() < 1e-4


def test_a_linear_depth_is_interpolated_exactly():
    row, column = np.indices((30, 40), dtype=float)
    depth = 1 + 0.01 * row + 0.02 * column
    sparse = np.where((row % 7 == 0) | (column % 9 == 0), depth, 0)
    dense = interpolated_depth(sparse, np.ones_like(depth, bool))
    assert np.abs(dense - depth)[:29, :37].max() < 1e-5


@pytest.mark.parametrize("places", [[], [(3, 3)], [(2, 1), (2, 5), (2, 8)]])
def test_too_few_samples_stay_alone(places):
    sparse = np.zeros((10, 12), np.float32)
    for place in places:
        sparse[place] = 1.5
    assert (interpolated_depth(sparse, np.ones_like(sparse, bool)) == sparse).all()


def test_decimation():
    depth = np.array([[1, 3, 0, 0, 9], [0, 2, 0, 0, 9], [4, 4, 5, 0, 9], [4, 8, 0, 6, 9]], float)
    assert decimated_depth(depth, 2).tolist() == [[2, 0], [5, 5.5]]
    assert decimated_depth(depth, 2, "nearest").tolist() == [[2, 0], [8, 6]]
    assert decimated_depth(depth, 2, "closest").tolist() == [[1, 0], [4, 5]]
    assert (decimated_depth(depth, 1) == depth.astype(np.float32)).all()
    with pytest.raises(SceneError, match="known are area, nearest, closest"):
        decimated_depth(depth, 2, "mean")
    with pytest.raises(SceneError, match="no pixel left"):
        decimated_depth(depth, 5)
