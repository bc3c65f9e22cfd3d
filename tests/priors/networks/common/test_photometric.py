"""Photometric stereo, the folders that it reads, and where real data lies."""

import cv2
import numpy as np
import pytest
from nsr.errors import NsrError
from nsr.priors.networks.common.photometric import LitPictures, photometric_normals
from nsr.priors.networks.common.real_data import real_folder


def test_normals_and_albedo_of_a_lambertian_surface_are_exact():
    generator = np.random.default_rng(0)
    normal = generator.normal(size=(16, 16, 3)) * 0.3 - [0, 0, 1]
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    albedo = generator.uniform(0.2, 0.9, (16, 16))
    lights = np.array([[0.3, 0.2, -0.9], [-0.4, 0.1, -0.9], [0, -0.5, -0.8], [0.1, 0.4, -1], [0, 0, -1]])
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    brightness = albedo * np.maximum(np.einsum("ni,hwi->nhw", lights, normal), 0)
    found, found_albedo = photometric_normals(brightness, lights)
    np.testing.assert_allclose(found, normal, atol=1e-6)
    np.testing.assert_allclose(found_albedo, albedo, atol=1e-6)


def test_a_folder_holds_lights_in_the_camera_frame_and_pictures_in_their_order(tmp_path):
    (tmp_path / "lights.txt").write_text("12\n" + "0 0 2\n" * 11 + "0.6 0.8 0\n")
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"ball.{number}.png"), np.full((4, 6, 3), number, np.uint8))
    cv2.imwrite(str(tmp_path / "ball.mask.png"), np.eye(4, 6, dtype=np.uint8) * 255)
    lit = LitPictures(tmp_path)
    np.testing.assert_allclose(lit.lights[[0, 11]], [[0, 0, -1], [0.6, -0.8, 0]])
    assert lit.pictures()[:, 0, 0, 0].tolist() == list(range(12)) and lit.mask().sum() == 4


def test_real_data_needs_its_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("NSR_DATA", raising=False)
    with pytest.raises(NsrError, match="set the environment variable NSR_DATA to the folder that holds a/b"):
        real_folder("a/b")
    monkeypatch.setenv("NSR_DATA", str(tmp_path))
    with pytest.raises(NsrError, match="no such folder"):
        real_folder("a/b")
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert real_folder("a/b") == tmp_path / "a" / "b"
