"""The stereo sensor against the formulas of its steps."""

import numpy as np
import pytest

from nsr.scenes.synthetic.sensors.rectified import disparity_of, unseen_from_the_right
from nsr.scenes.synthetic.sensors.stereo import StereoSensor, correlated_noise

FOCAL = 424.0
QUIET = {"noise": 0.0, "steps": 0, "fattening": 0, "occlusion": False}


def random():
    return np.random.default_rng(3)


def step_scene(near=0.5, far=1.0, height=8, width=160, left=90, right=130):
    depth = np.full((height, width), far)
    depth[:, left:right] = near
    return depth


def test_a_sensor_without_faults_measures_the_depth():
    depth = step_scene()
    depth[2, 5] = 0
    measured = StereoSensor(0.05, **QUIET).measure(depth, FOCAL, random())
    assert measured.dtype == np.float32 and np.abs(measured - depth).max() < 1e-6 and measured[2, 5] == 0


def test_depth_steps_are_those_of_the_formula():
    sensor = StereoSensor(0.05, **{**QUIET, "steps": 32})
    depth = np.linspace(0.95, 1.05, 20_000).reshape(1, -1)
    levels = np.unique(sensor.measure(depth, FOCAL, random()))
    # 1.5 mm at 1 m for a focal length of 424 pixels and 50 mm
    assert np.allclose(np.diff(levels), sensor.step(levels[:-1], FOCAL), rtol=0.01)
    assert sensor.step(1.0, FOCAL) == pytest.approx(1 / (424 * 0.05 * 32))


def test_noise_is_of_the_disparity():
    sensor = StereoSensor(0.05, **{**QUIET, "noise": 0.1, "correlation": 5.0})
    depth = np.full((300, 300), 1.2)
    error = disparity_of(sensor.measure(depth, FOCAL, random()), FOCAL, 0.05) - FOCAL * 0.05 / 1.2
    assert error.std() == pytest.approx(0.1, rel=0.05) and abs(error.mean()) < 0.005
    beside = np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1]
    apart = np.corrcoef(error[:, :-9].ravel(), error[:, 9:].ravel())[0, 1]
    assert beside > 0.7 and abs(apart) < 0.05


def test_white_noise_is_white():
    noise = correlated_noise((200, 200), 0.0, random())
    assert noise.std() == pytest.approx(1, rel=0.03)
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_the_occlusion_shadow_is_as_wide_as_the_disparities_differ():
    depth = step_scene()
    hidden = unseen_from_the_right(disparity_of(depth, FOCAL, 0.05))
    # left of the foreground: f B (1 / near - 1 / far) = 21.2 pixels; and the first 21.2 columns are out of frame
    width = FOCAL * 0.05 * (1 / 0.5 - 1 / 1.0)
    shadow = np.flatnonzero(hidden[0, 40:90])
    assert len(shadow) == round(width) and shadow[-1] == 49
    assert hidden[0, :40].sum() == np.ceil(FOCAL * 0.05) and not hidden[0, 90:].any()


def test_the_shadow_agrees_with_a_search_for_what_is_in_front():
    generator = random()
    depth = 0.5 + generator.random((6, 60)) * 0.5
    depth[generator.random(depth.shape) < 0.2] = 0
    disparity = disparity_of(depth, 200.0, 0.05)
    expected = np.zeros(depth.shape, bool)
    for row, column in np.ndindex(depth.shape):
        landing = column - disparity[row, column]
        others = [u for u in range(column + 1, 60) if depth[row, u] > 0 and u - disparity[row, u] <= landing]
        expected[row, column] = bool(others) or landing < 0
    assert (unseen_from_the_right(disparity) == expected).all()


def test_foreground_grows_and_slopes_do_not():
    depth = step_scene()
    sensor = StereoSensor(0.05, **{**QUIET, "fattening": 3})
    fat = sensor.measure(depth, FOCAL, random())
    assert (np.isclose(fat[0], 0.5).sum(), np.flatnonzero(np.isclose(fat[0], 0.5))[0]) == (46, 87)
    slope = np.tile(np.linspace(0.8, 1.2, 160), (8, 1))
    assert np.abs(sensor.measure(slope, FOCAL, random()) - slope).max() < 1e-6


def test_foreground_grows_over_nothing_too():
    depth = step_scene(far=0.0)
    fat = StereoSensor(0.05, **{**QUIET, "fattening": 2}).measure(depth, FOCAL, random())
    assert (fat[0] > 0).sum() == 44


def test_what_cannot_be_matched_is_a_hole():
    depth = np.full((20, 60), 1.0)
    cosine, contrast = np.ones_like(depth), np.ones_like(depth)
    cosine[:, :10], contrast[:, 50:] = 0.1, 0.02
    sensor = StereoSensor(0.05, **QUIET, least_cosine=0.2, least_signal=0.05)
    measured = sensor.measure(depth, FOCAL, random(), cosine, contrast)
    assert (measured[:, :10] == 0).all() and (measured[:, 50:] == 0).all() and (measured[:, 10:50] > 0).all()


def test_range_and_speckle():
    depth = np.tile(np.linspace(0.5, 1.5, 400), (100, 1))
    measured = StereoSensor(0.05, **QUIET, nearest=0.7, farthest=1.2).measure(depth, FOCAL, random())
    assert ((measured > 0) == ((depth >= 0.7) & (depth <= 1.2))).mean() > 0.999
    lost = StereoSensor(0.05, **QUIET, speckle=0.1).measure(depth, FOCAL, random()) == 0
    assert lost.mean() == pytest.approx(0.1, abs=0.001)
    assert lost[:, 1:][lost[:, :-1]].mean() > 0.5  # patches, not pixels


def test_equal_generators_give_equal_maps():
    sensor, depth = StereoSensor(0.05, speckle=0.05), step_scene()
    assert (sensor.measure(depth, FOCAL, random()) == sensor.measure(depth, FOCAL, random())).all()
