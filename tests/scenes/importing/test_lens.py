"""The lens models against OpenCV's and COLMAP's own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nsr.scenes.importing.colmap import MODELS, camera_of
from nsr.scenes.importing.lens import Lens

RAYS = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 2))


def test_rational_tangential_and_prism_terms_are_opencvs():
    k1, k2, p1, p2, k3, k4, k5, k6 = 0.1, -0.05, 0.01, -0.02, 0.03, 0.02, -0.01, 0.005
    prism = (0.01, -0.02, 0.03, 0.004)
    lens = Lens(radial=(k1, k2, k3), denominator=(k4, k5, k6), tangential=(p1, p2), prism=prism)
    points = np.column_stack([RAYS, np.ones(len(RAYS))])
    coefficients = np.array([k1, k2, p1, p2, k3, k4, k5, k6, *prism])
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), coefficients)[0][:, 0]
    np.testing.assert_allclose(lens.distort(RAYS), expected, atol=1e-12)


def test_equidistant_is_opencvs_fisheye():
    radial = (0.02, -0.01, 0.003, 0.001)
    expected = cv2.fisheye.distortPoints(RAYS[:, None], np.eye(3), np.array(radial))[:, 0]
    np.testing.assert_allclose(Lens("equidistant", radial=radial).distort(RAYS), expected, atol=1e-12)


@pytest.mark.parametrize("number", MODELS)
def test_every_camera_model_is_colmaps(number):
    """To rounding, in pixels, half a pixel apart by convention."""
    pycolmap = pytest.importorskip("pycolmap", reason="COLMAP's own models come with pycolmap")
    name, count = MODELS[number]
    camera = pycolmap.Camera.create_from_model_name(1, name, 500.0, 640, 480)
    parameters = np.array(camera.params)
    assert len(parameters) == count
    extra = list(camera.extra_params_idxs())
    parameters[extra] = np.random.default_rng(number).uniform(-0.02, 0.02, len(extra))
    if name == "EUCM":
        parameters[extra] = 0.6, 1.1
    if name == "FOV":
        parameters[extra] = 0.8
    camera.params = parameters
    expected = camera.img_from_cam(np.column_stack([RAYS, np.ones(len(RAYS))]))
    intrinsics, lens = camera_of(name, list(parameters), "here")
    pixels = lens.distort(RAYS) @ intrinsics[:2, :2].T + intrinsics[:2, 2]
    np.testing.assert_allclose(pixels + 0.5, expected, atol=1e-9)


def test_the_models_numbers_and_names_are_colmaps():
    pycolmap = pytest.importorskip("pycolmap", reason="COLMAP's own models come with pycolmap")
    known = {int(value): name for name, value in pycolmap.CameraModelId.__members__.items()}
    assert {number: name for number, (name, _) in MODELS.items()} == {
        number: name for number, name in known.items() if name not in ("INVALID", "EQUIRECTANGULAR")
    }


@pytest.mark.parametrize(
    ("lens", "pinhole"),
    [
        (Lens(), True),
        (Lens(radial=(0.0, 0.0)), True),
        (Lens("division", bend=(0.0,)), True),
        (Lens("division", bend=(0.1,)), False),
        (Lens(radial=(0.0, 1e-3)), False),
        (Lens("equidistant"), False),
    ],
)
def test_a_pinhole_is_recognised(lens, pinhole):
    assert lens.is_pinhole == pinhole
    assert np.allclose(lens.distort(RAYS), RAYS) == pinhole


def test_rays_without_a_picture_are_nan():
    assert np.isnan(Lens("division", bend=(1.0,)).distort(np.array([[0.6, 0.0]]))).all()
