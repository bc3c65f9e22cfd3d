"""Photometric stereo and folders of photographs."""

import os

import numpy as np
import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.photographs import PhotographFolder
from nsr.priors.networks.intrinsic_decomposition.photometric import PhotometricStereo, photometric_normals, real_folder
from PIL import Image


def sphere_folder(folder, size=48):
    """A matt sphere under six lamps, written as the format says; returns its normals in the lights' axes."""
    line = (np.arange(size) + 0.5) / size * 2.4 - 1.2
    x, y = np.meshgrid(line, -line)  # y up
    inside = x**2 + y**2 < 0.95
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    normal = np.stack((x, y, z))
    lights = np.array([[0.5, 0.1, 1], [-0.5, 0.2, 1], [0, 0.6, 1], [0.1, -0.5, 1], [0.3, 0.3, 1], [-0.2, -0.2, 1.0]])
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    (folder / "lights.txt").write_text("6\n" + "\n".join(" ".join(map(str, light)) for light in lights))
    for index, light in enumerate(lights):
        shading = np.clip(np.einsum("i,ihw->hw", light, normal), 0, None) * inside
        Image.fromarray(np.repeat((200 * shading).round().astype(np.uint8)[..., None], 3, -1)).save(
            folder / f"ball.{index}.png"
        )
    Image.fromarray((inside * 255).astype(np.uint8)).save(folder / "ball.mask.png")
    return normal, inside


def test_normals_of_matt_pixels_are_exact():
    random = np.random.default_rng(0)
    lights = random.normal(size=(9, 3)) * [0.3, 0.3, 0.0] + [0, 0, 1]
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    normal = random.normal(size=(3, 40)) * 0.2 + np.array([0, 0, 1])[:, None]
    normal /= np.linalg.norm(normal, axis=0)
    albedo = random.uniform(0.2, 0.9, 40)
    shading = albedo * (lights @ normal)
    assert shading.min() > 0
    found, brightness = photometric_normals(shading, lights)
    np.testing.assert_allclose(found, normal, atol=1e-6)
    np.testing.assert_allclose(brightness, albedo, atol=1e-6)


def test_one_shadow_and_one_highlight_do_not_matter():
    lights = np.array([[np.cos(a), np.sin(a), 2.0] for a in np.arange(12) * np.pi / 6])
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    normal = np.array([[0.1], [0.2], [0.97]]) / np.linalg.norm([0.1, 0.2, 0.97])
    shading = 0.5 * lights @ normal
    shading[3], shading[8] = 0.0, 1.0
    np.testing.assert_allclose(photometric_normals(shading, lights)[0], normal, atol=1e-6)


def test_a_folder_of_lit_pictures_gives_camera_frame_normals(tmp_path):
    normal, inside = sphere_folder(tmp_path)
    assert PhotometricStereo.is_one(tmp_path)
    dataset = PhotometricStereo(tmp_path)
    sample = dataset[2]
    mask = sample["mask"][0] > 0
    assert int(mask.sum()) == inside.sum()
    truth = torch.from_numpy(normal[:, inside] * [[1], [-1], [-1]]).float()
    cosine = (sample["normal"][:, mask] * truth).sum(0)
    assert torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).mean() < 3  # 8-bit pictures, attached shadows
    assert 0 <= sample["image"].min() and sample["image"].max() <= 1
    assert not sample["image"][:, ~mask].any()
    assert len(PhotometricStereo(tmp_path, first=2)) == 2
    assert min(PhotometricStereo(tmp_path, short_side=20)[0]["image"].shape[1:]) == 20


def test_incomplete_folders_of_lit_pictures_are_told(tmp_path):
    sphere_folder(tmp_path)
    (tmp_path / "ball.3.png").unlink()
    with pytest.raises(NsrError, match="ball.3.png"):
        PhotometricStereo(tmp_path)
    (tmp_path / "lights.txt").write_text("6 1 2 3")
    with pytest.raises(NsrError, match="as many directions"):
        PhotometricStereo(tmp_path)
    sphere_folder(tmp_path)
    Image.new("L", (48, 48)).save(tmp_path / "ball.mask.png")
    with pytest.raises(NsrError, match="is empty"):
        PhotometricStereo(tmp_path)


def test_photographs_are_scaled_and_masked(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture).save(tmp_path / "b.png")
    (tmp_path / "mask").mkdir()
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    Image.fromarray(mask).save(tmp_path / "mask" / "b.png")
    plain, masked = PhotographFolder(tmp_path, short_side=20)
    assert plain["image"].shape == masked["image"].shape == (3, 20, 30)
    assert plain["mask"].all() and masked["mask"].sum() == 20 * 15
    torch.testing.assert_close(masked["image"][..., 15:], plain["image"][..., 15:])
    assert not masked["image"][..., :15].any()
    blocks = picture.reshape(20, 2, 30, 2, 3).mean((1, 3)) / 255
    np.testing.assert_allclose(plain["image"].permute(1, 2, 0), blocks, atol=1e-5)
    assert PhotographFolder(tmp_path, short_side=0)[0]["image"].shape == (3, 40, 60)
    Image.new("L", (5, 5)).save(tmp_path / "mask" / "b.png")
    with pytest.raises(NsrError, match="is 5x5, but its picture is 60x40"):
        PhotographFolder(tmp_path)[1]


def test_real_data_needs_its_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("NSR_DATA", raising=False)
    with pytest.raises(NsrError, match="NSR_DATA"):
        real_folder()
    monkeypatch.setenv("NSR_DATA", str(tmp_path))
    with pytest.raises(NsrError, match="no such folder"):
        real_folder()


def test_the_real_cat_has_normals_that_explain_its_pictures():
    if not os.environ.get("NSR_DATA"):
        pytest.skip("the real photographs are below NSR_DATA, which is not set")
    dataset = PhotometricStereo(real_folder(), short_side=128)
    assert len(dataset) == 12
    correlations = []
    for sample, light in zip(dataset, dataset.lights, strict=True):
        mask = sample["mask"][0] > 0
        direction = torch.tensor([light[0], -light[1], -light[2]]).float()
        shading = (sample["normal"][:, mask] * direction[:, None]).sum(0).clamp_min(0)
        correlations.append(float(torch.corrcoef(torch.stack((shading, sample["image"].mean(0)[mask])))[0, 1]))
    assert min(correlations) > 0.5  # albedo and shadows are not in it
