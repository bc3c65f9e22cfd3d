import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.photometric_stereo import PhotometricFolder, integrated_depth
from nsr.priors.networks.shape_from_shading.rig import Rig

RIG = Rig(focal=(400.0, 400.0))


def dome(size=64):
    """A paraboloid seen in perspective, and its mask: a disc."""
    rays = RIG.rays(size, size)
    depth = 1 + 2 * (rays[..., :2] ** 2).sum(-1)
    return depth, np.hypot(*(rays[..., :2].transpose(2, 0, 1))) < 0.9 * size / 2 / 400


def test_normals_are_integrated_to_the_depth_that_they_are_of():
    depth, mask = dome()
    rays = RIG.rays(64, 64)
    # exact normals of z = 1 + 2 (x^2 + y^2), x and y on the ray at depth 1
    tangent = [np.stack([(axis == 0) * depth + rays[..., 0] * s, (axis == 1) * depth + rays[..., 1] * s, s], axis=-1)
               for axis, s in ((0, 4 * rays[..., 0]), (1, 4 * rays[..., 1]))]  # fmt: skip
    normal = np.cross(tangent[1], tangent[0])
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    found = integrated_depth(normal, mask, RIG)
    scale = np.exp(np.mean(np.log(depth[mask])))
    assert np.abs(found[mask] - depth[mask] / scale).max() < 1e-5
    assert (found[~mask] == 0).all()


def test_parts_that_do_not_touch_each_stand_at_the_distance():
    mask = np.zeros((40, 40), dtype=bool)
    mask[4:16, 4:16] = mask[24:36, 20:36] = True
    facing = np.broadcast_to([0.0, 0.0, -1.0], (40, 40, 3))
    found = integrated_depth(facing, mask, RIG, distance=2.0)
    np.testing.assert_allclose(found[mask], 2.0, rtol=1e-3)


def write_folder(folder, lights="2\n0 0 1\n0.5 0 0.87\n", pictures=2):
    folder.mkdir()
    (folder / "lights.txt").write_text(lights)
    for number in range(pictures):
        cv2.imwrite(str(folder / f"ball.{number}.png"), np.full((32, 32, 3), 100 + number, np.uint8))
    cv2.imwrite(str(folder / "ball.mask.png"), np.full((32, 32), 255, np.uint8))
    return folder


def test_what_a_folder_lacks_is_told(tmp_path):
    with pytest.raises(NsrError, match="tells of 2 pictures, but ball.1.png is missing"):
        PhotometricFolder(write_folder(tmp_path / "short", pictures=1), RIG, 8.0)
    with pytest.raises(NsrError, match="lights.txt: cannot be read as a table of lights"):
        PhotometricFolder(write_folder(tmp_path / "wrong", lights="3\n0 0 1\n"), RIG, 8.0)
    without = write_folder(tmp_path / "without")
    (without / "ball.mask.png").unlink()
    with pytest.raises(NsrError, match=r"0 files are named \*.mask.png"):
        PhotometricFolder(without, RIG, 8.0)


@pytest.mark.parametrize(("pixels", "told"), [(0, "ball.mask.png: leaves no pixel"), (1, "a smooth depth needs six")])
def test_a_mask_that_leaves_next_to_nothing_is_told(tmp_path, pixels, told):
    folder = write_folder(tmp_path / "ball")
    mask = np.zeros((32, 32), np.uint8)
    mask[16, 16 : 16 + pixels] = 255
    cv2.imwrite(str(folder / "ball.mask.png"), mask)
    with pytest.raises(NsrError, match=told):
        PhotometricFolder(folder, RIG, 8.0)[0]


def test_a_photographed_object_becomes_a_sample():
    root = os.environ.get("NSR_DATA")
    if not root:
        pytest.skip("NSR_DATA names no folder with photometric/cat")
    dataset = PhotometricFolder(Path(root) / "photometric" / "cat", Rig(), 24.0)
    sample = dataset[0]
    valid = sample["mask"][0].numpy() > 0
    assert valid.sum() > 30_000 and "pattern" not in sample
    assert abs(np.exp(np.log(sample["depth"][0].numpy()[valid]).mean()) - 1) < 1e-3
    normal, integrated = sample["normal"].permute(1, 2, 0).numpy(), Rig().normals(
        np.where(valid, sample["depth"][0].double().numpy(), 1)
    )
    inside = cv2.erode(valid.astype(np.uint8), np.ones((9, 9))) > 0
    angle = np.degrees(np.arccos((normal * integrated).sum(-1)[inside].clip(-1, 1)))
    assert np.median(angle) < 5
    # the light that is nearest to the rig's lamp is the first of the table
    first = cv2.imread(str(Path(root) / "photometric" / "cat" / "cat.0.png"))[..., ::-1].mean(axis=-1) / 255
    np.testing.assert_allclose(sample["shading"][0].numpy(), first, atol=1e-6)
