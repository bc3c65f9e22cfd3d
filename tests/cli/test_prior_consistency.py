"""Changes of a decomposition against closed forms."""

import numpy as np
import pytest

from nsr.cli.prior_consistency import colours_changed, normals_turned, other_looks

RANDOM = np.random.default_rng(0)


def test_looks_are_undone():
    """Of a network that answers by the picture and the pixel's place alone."""
    image = RANDOM.random((5, 7, 3)).astype(np.float32)
    mask = RANDOM.random((5, 7)) > 0.3

    def predict(image, mask):
        outward = np.zeros_like(image)
        outward[..., 0] = np.linspace(-1, 1, 7)  # to the left on the left, mirrored or not
        return {"albedo": image * mask[..., None], "normal": outward}

    mirrored, darker = other_looks(predict, image, mask)
    plain = predict(image, mask)
    for name, values in plain.items():
        np.testing.assert_allclose(mirrored[name], values, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(darker["albedo"], 0.6 * plain["albedo"], atol=1e-6)


def test_angles_add_up_whatever_the_lengths():
    normal = np.zeros((2, 3, 3))
    normal[..., 2] = -2.0
    by_30 = np.broadcast_to([0.5, 0, -(0.75**0.5)], (2, 3, 3))
    np.testing.assert_allclose(normals_turned(normal, [5 * by_30, by_30, normal]), 60, atol=1e-5)


def test_a_colour_of_the_whole_picture_is_no_change():
    colours = RANDOM.uniform(0.1, 1, (4, 5, 3))
    mask = np.ones((4, 5), dtype=bool)
    np.testing.assert_allclose(colours_changed(colours, [colours * [0.5, 0.7, 0.3]], mask), 0, atol=1e-12)
    other = colours.copy()
    other[0, 0] *= np.exp(0.3)
    changed = colours_changed(colours, [other, other], mask)
    assert changed[0, 0] == pytest.approx(0.6) and changed[1:].max() < 1e-12
    assert not colours_changed(colours, [other], np.zeros_like(mask)).any()
