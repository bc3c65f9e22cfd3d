"""Distorted photographs become those of a pinhole camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from nsr.errors import SceneError
from nsr.scenes.importing.lens import Lens
from nsr.scenes.importing.rectification import rectify

SIZE = (120, 160)
INTRINSICS = np.array([[150.0, 0, 82.0], [0, 148.0, 57.0], [0, 0, 1]])
BARREL, PINCUSHION, FISHEYE = Lens(radial=(-0.25, 0.05)), Lens(radial=(0.2,)), Lens("equidistant", radial=(0.02,))


def disc(rays: np.ndarray) -> np.ndarray:
    """What the world looks like: a disc off the axis, and nothing else, seen along rays ``[..., 2]``."""
    return np.linalg.norm(rays - (0.25, -0.12), axis=-1) < 0.12


def photograph(lens: Lens) -> np.ndarray:
    """The disc through the lens: pixels back to rays by OpenCV's own inversion."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float64)
    pixels = np.stack([u, v], axis=-1).reshape(-1, 1, 2)
    k = np.resize(np.array([*lens.radial, 0, 0, 0, 0]), 4)
    if lens.projection == "equidistant":
        rays = cv2.fisheye.undistortPoints(pixels, INTRINSICS, np.array([lens.radial[0], 0, 0, 0]))
    else:
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
        rays = cv2.undistortPoints(pixels, INTRINSICS, np.array([k[0], k[1], 0, 0]), None, None, None, criteria)
    return disc(rays.reshape(*SIZE, 2))


def pinhole(intrinsics: np.ndarray) -> np.ndarray:
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    return disc((np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(intrinsics).T)[..., :2])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("lens", [BARREL, PINCUSHION, FISHEYE], ids=["barrel", "pincushion", "fisheye"])
def test_a_rectified_photograph_is_a_pinhole_cameras(lens):
    plan = rectify(INTRINSICS, lens, SIZE)
    mask = plan.mask(photograph(lens))
    assert mask.shape == SIZE
    assert overlap(mask, pinhole(plan.intrinsics)) > 0.97  # all but single pixels along the outline
    assert overlap(photograph(lens), pinhole(INTRINSICS)) < 0.93
    np.testing.assert_allclose(plan.intrinsics[:2, 2], INTRINSICS[:2, 2])


@pytest.mark.parametrize("lens", [BARREL, PINCUSHION, FISHEYE], ids=["barrel", "pincushion", "fisheye"])
def test_every_pixel_has_a_counterpart_and_little_is_lost(lens):
    where = rectify(INTRINSICS, lens, SIZE).where
    height, width = SIZE
    assert (where >= -1).all() and (where[..., 0] <= width).all() and (where[..., 1] <= height).all()
    nearest = min(
        where[..., 0].min(), where[..., 1].min(), (width - 1 - where[..., 0]).min(), (height - 1 - where[..., 1]).min()
    )
    assert nearest < 3  # some border of the photograph is reached, to the zoom's step


def test_a_pinhole_is_left_alone():
    picture = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    plan = rectify(INTRINSICS, Lens(radial=(0.0,)), SIZE)
    assert plan.picture(picture) is picture
    np.testing.assert_array_equal(plan.intrinsics, INTRINSICS)


def test_absurd_parameters_are_refused():
    with pytest.raises(SceneError, match="leaves no part of a 160x120 photograph"):
        rectify(INTRINSICS, Lens("division", bend=(50.0,)), SIZE)
