"""Photometric stereo and folders of photographs."""

import os

import numpy as np
import pytest
import torch
from nsr.errors import NsrError
from nsr.priors.networks.common.photometric import CAT
from nsr.priors.networks.common.real_data import real_folder
from nsr.priors.networks.intrinsic_decomposition.photographs import PhotographFolder
from nsr.priors.networks.intrinsic_decomposition.photometric import PhotometricStereo
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


def test_a_folder_of_lit_pictures_gives_camera_frame_normals(tmp_path):
    normal, inside = sphere_folder(tmp_path)
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


def test_an_empty_mask_is_told(tmp_path):
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
    Image.new("L", (60, 40)).save(tmp_path / "mask" / "b.png")
    with pytest.raises(NsrError, match="b.png: is empty"):
        PhotographFolder(tmp_path)[1]


def test_the_real_cat_has_normals_that_explain_its_pictures():
    if not os.environ.get("NSR_DATA"):
        pytest.skip("the real photographs are below NSR_DATA, which is not set")
    dataset = PhotometricStereo(real_folder(CAT), short_side=128)
    assert len(dataset) == 12
    correlations = []
    for sample, light in zip(dataset, dataset.lights, strict=True):
        mask = sample["mask"][0] > 0
        shading = (sample["normal"][:, mask] * torch.from_numpy(light).float()[:, None]).sum(0).clamp_min(0)
        correlations.append(float(torch.corrcoef(torch.stack((shading, sample["image"].mean(0)[mask])))[0, 1]))
    assert min(correlations) > 0.5  # albedo and shadows are not in it
