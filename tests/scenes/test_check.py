"""Each way in which a scene can be bad is found, in one line that names it; and good scenes pass."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.check import check_loaded, check_scene
from nsr.scenes.idr_folder import load_scene


def rewrite_cameras(folder, change) -> None:
    """Let ``change`` alter the dictionary of the folder's matrices."""
    with np.load(folder / "cameras.npz") as archive:
        matrices = dict(archive)
    change(matrices)
    np.savez(folder / "cameras.npz", **matrices)


def rewrite(path, change) -> None:
    """Replace a picture by what ``change`` makes of its array."""
    with Image.open(path) as picture:
        pixels = np.array(picture)
    Image.fromarray(change(pixels)).save(path)


def the_error(folder, *words) -> str:
    """The one error of the folder's check, which holds all words and which ``load_scene`` raises alike."""
    report = check_scene(folder)
    assert len(report.errors) == 1, report.errors
    line = report.errors[0]
    assert "\n" not in line and all(word in line for word in words), line
    assert not report.ok and f"error: {line}" in report.format()
    return line


def not_loadable(folder, *words) -> None:
    line = the_error(folder, *words)
    with pytest.raises(SceneError) as caught:
        load_scene(folder)
    assert str(caught.value) == line


def test_a_good_scene_passes(sphere_scene_folder, sphere_scene):
    for report in (check_scene(sphere_scene_folder), check_loaded(sphere_scene)):
        assert report.ok and not report.errors and not report.warnings and not report.information
        assert len(report.views) == 8
        for facts in report.views:
            assert facts.camera.pixels_in_sphere == facts.mask_pixels > 0
            assert facts.camera.distance == pytest.approx(3)
        assert report.format().endswith("0 errors, 0 warnings")
        report.raise_errors()


@pytest.mark.parametrize("scene, overexposed", [("DTU/scan65", 1), ("tankard", 0)])
def test_real_scenes_have_no_errors(data_root, scene, overexposed):
    """The one warning is right: in view 0 of the skull 39 % of the pixels are white, in the median view few are."""
    report = check_scene(data_root / scene)
    assert report.ok and len(report.warnings) == overexposed
    assert all("view 0" in line and "overexposed" in line for line in report.warnings)
    assert len(report.information) == 1 and "frame cuts the object" in report.information[0]


def test_no_folder(tmp_path):
    not_loadable(tmp_path / "none", str(tmp_path / "none"), "no such scene folder")


@pytest.mark.parametrize("name", ["image", "mask"])
def test_missing_folder(sphere_scene_folder, name):
    shutil.rmtree(sphere_scene_folder / name)
    not_loadable(sphere_scene_folder, str(sphere_scene_folder / name), "no such folder")


def test_empty_folder_and_missing_cameras_are_both_reported(sphere_scene_folder):
    for path in (sphere_scene_folder / "image").iterdir():
        path.unlink()
    (sphere_scene_folder / "cameras.npz").unlink()
    report = check_scene(sphere_scene_folder)
    assert ["no pictures" in report.errors[0], "no such camera file" in report.errors[1]] == [True, True]
    assert len(report.errors) == 2


def test_unequal_numbers(sphere_scene_folder):
    (sphere_scene_folder / "mask" / "002.png").unlink()
    not_loadable(sphere_scene_folder, "8 images but 7 masks", "002")
    assert len(check_scene(sphere_scene_folder).views) == 7  # those that share a name are looked at all the same


def test_sizes_that_differ(sphere_scene_folder):
    rewrite(sphere_scene_folder / "mask" / "003.png", lambda mask: mask[:40])
    not_loadable(sphere_scene_folder, "003.png", "64x40", "64x48")


@pytest.mark.parametrize("kind", ["image", "mask"])
def test_unreadable_pictures(sphere_scene_folder, kind):
    path = sphere_scene_folder / kind / "005.png"
    path.write_bytes(path.read_bytes()[:100])
    not_loadable(sphere_scene_folder, str(path), "cannot be read")


def test_a_truncated_jpeg(sphere_scene_folder):
    path = sphere_scene_folder / "image" / "005.png"
    with Image.open(path) as picture:
        picture.save(path.with_suffix(".jpg"))
    path.unlink()
    path = path.with_suffix(".jpg")
    path.write_bytes(path.read_bytes()[:-300])
    not_loadable(sphere_scene_folder, str(path), "cannot be read")


def test_empty_masks(sphere_scene_folder):
    paths = sorted((sphere_scene_folder / "mask").iterdir())
    rewrite(paths[1], lambda mask: mask // 255)
    report = check_scene(sphere_scene_folder)
    assert report.ok and any("view 1 (001.png) is empty" in line and "127" in line for line in report.warnings)
    for path in paths[2:]:
        rewrite(path, lambda mask: mask // 255)
    the_error(sphere_scene_folder, "views 1, 2, 3, 4, 5, 6, 7", "empty", "127")


def test_full_masks(sphere_scene_folder):
    paths = sorted((sphere_scene_folder / "mask").iterdir())
    rewrite(paths[1], lambda mask: np.full_like(mask, 255))
    report = check_scene(sphere_scene_folder)
    assert any("view 1 (001.png)" in line and "full" in line for line in report.warnings)
    for path in paths[:-1]:
        rewrite(path, lambda mask: np.full_like(mask, 255))
    assert any("full" in line for line in check_scene(sphere_scene_folder).errors)
    rewrite(paths[-1], lambda mask: np.full_like(mask, 255))
    report = check_scene(sphere_scene_folder)
    assert report.ok and any("every mask is full" in line for line in report.information)


def test_inverted_masks(sphere_scene_folder):
    for path in (sphere_scene_folder / "mask").iterdir():
        rewrite(path, lambda mask: 255 - mask)
    the_error(sphere_scene_folder, "views 0, 1, 2, 3, 4, 5, 6, 7", "inverted", "100% of the frame's border")
    for view in (0, 1, 2, 4, 5, 6, 7):
        rewrite(sphere_scene_folder / "mask" / f"{view:03d}.png", lambda mask: 255 - mask)
    report = check_scene(sphere_scene_folder)
    assert report.ok and any("view 3 (003.png) seems inverted" in line for line in report.warnings)


def test_missing_cameras(sphere_scene_folder):
    rewrite_cameras(sphere_scene_folder, lambda matrices: [matrices.pop(f"world_mat_{view}") for view in (2, 6)])
    not_loadable(sphere_scene_folder, "cameras.npz", "no world_mat for views 2, 6 of 8")


def test_absent_scale_mat(sphere_scene_folder):
    rewrite_cameras(sphere_scene_folder, lambda matrices: [matrices.pop(f"scale_mat_{view}") for view in range(8)])
    not_loadable(sphere_scene_folder, "cameras.npz", "no scale_mat_i at all")


def test_a_scale_mat_of_its_own(sphere_scene_folder):
    def change(matrices):
        matrices["scale_mat_5"] = matrices["scale_mat_5"] + 1e-4 * np.eye(4)

    rewrite_cameras(sphere_scene_folder, change)
    not_loadable(sphere_scene_folder, "scale_mat_5 differs from scale_mat_0")


def test_more_cameras_than_views_is_a_warning(sphere_scene_folder):
    for kind in ("image", "mask"):
        (sphere_scene_folder / kind / "007.png").unlink()
    report = check_scene(sphere_scene_folder)
    assert report.ok and len(report.warnings) == 1 and "8 cameras but 7 views" in report.warnings[0]


@pytest.mark.parametrize("change", [np.diag([1, 1, 1.2, 1]), np.diag([1, 1, -1, 1])])
def test_a_scale_mat_that_is_no_similarity(sphere_scene_folder, change):
    def stretch(matrices):
        for view in range(8):
            matrices[f"scale_mat_{view}"] = matrices[f"scale_mat_{view}"] @ change

    rewrite_cameras(sphere_scene_folder, stretch)
    assert "scale_mat_0 stretches or mirrors the scene" in "\n".join(check_scene(sphere_scene_folder).errors)
    with pytest.raises(SceneError, match="scale_mat_0 stretches or mirrors the scene"):
        load_scene(sphere_scene_folder)


@pytest.mark.parametrize(
    "value, words", [(np.full((4, 4), np.nan), "NaN"), (np.zeros((4, 4)), "singular"), (np.ones((2, 3)), "2 x 3")]
)
@pytest.mark.parametrize("key", ["world_mat_3", "scale_mat_3"])
def test_unusable_matrices(sphere_scene_folder, key, value, words):
    rewrite_cameras(sphere_scene_folder, lambda matrices: matrices.update({key: value}))
    report = check_scene(sphere_scene_folder)
    assert any(key in line and words in line for line in report.errors)
    assert all("scale_mat_3" in line or "world_mat_3" in line for line in report.errors)
    with pytest.raises(SceneError) as caught:
        load_scene(sphere_scene_folder)
    assert str(caught.value) == report.errors[0]


@pytest.mark.parametrize("damage", ["truncated", "middle", "flags", "text", "npy", "empty"])
def test_damaged_camera_files(sphere_scene_folder, damage):
    path = sphere_scene_folder / "cameras.npz"
    whole = path.read_bytes()
    if damage == "npy":
        np.save(path.with_suffix(".npy"), np.zeros((8, 3, 5)))
        path.with_suffix(".npy").rename(path)
    else:
        middle, entry = len(whole) // 2, whole.index(b"PK\x01\x02")  # of the zip's directory
        path.write_bytes(
            {
                "truncated": whole[:middle],
                "middle": whole[: middle - 90] + bytes(200) + whole[middle + 110 :],
                "flags": whole[: entry + 8] + b"\x01" + whole[entry + 9 :],  # "encrypted"
                "text": b"not a camera",
                "empty": b"",
            }[damage]
        )
    not_loadable(sphere_scene_folder, str(path), "damaged")


def move_world(matrices, offset) -> None:
    for view in range(8):
        matrices[f"scale_mat_{view}"] = matrices[f"scale_mat_{view}"].copy()
        matrices[f"scale_mat_{view}"][:3, 3] += offset


def test_an_object_outside_the_unit_sphere(sphere_scene_folder):
    """scale_mat moves the unit sphere 1.9 from the object, out of some cameras' frames altogether."""
    rewrite_cameras(sphere_scene_folder, lambda matrices: move_world(matrices, [0, 0, 2.5 * 1.9]))
    report = check_scene(sphere_scene_folder)
    [line] = [line for line in report.errors if "outside the unit sphere in" in line]
    worst = min(report.views, key=lambda facts: facts.camera.pixels_in_sphere / facts.mask_pixels)
    assert f"{worst.camera.pixels_in_sphere} of {worst.mask_pixels}" in line
    for facts in report.views:
        assert f"{facts.camera.pixels_in_sphere} of {facts.mask_pixels}" in report.format()


def test_counts_of_mask_pixels_in_the_sphere_agree_with_rays(sphere_scene_folder):
    rewrite_cameras(sphere_scene_folder, lambda matrices: move_world(matrices, [0, 0, 2.5 * 0.8]))
    scene, report = load_scene(sphere_scene_folder), check_scene(sphere_scene_folder)
    assert any("part of the object is outside" in line for line in report.warnings)
    for facts in report.views:
        pixels = scene.masks[facts.view].nonzero().flip(-1).float()
        origins, directions = scene.cameras.rays(torch.full((len(pixels),), facts.view), pixels)
        along = -(origins * directions).sum(-1)
        closest = (origins + along.unsqueeze(-1) * directions).norm(dim=-1)
        assert (closest - 1).abs().min() > 1e-5  # no ray so near the outline that rounding decides
        assert facts.camera.pixels_in_sphere == int(((closest < 1) & (along > 0)).sum())


def test_cameras_that_look_away(sphere_scene_folder, sphere_truth):
    turn = np.diag([1.0, -1.0, -1.0])  # OpenGL's axes

    intrinsics = sphere_truth.cameras.intrinsics[1].numpy()

    def change(matrices):
        matrices["world_mat_1"][:3] = intrinsics @ turn @ np.linalg.inv(intrinsics) @ matrices["world_mat_1"][:3]

    rewrite_cameras(sphere_scene_folder, change)
    the_error(sphere_scene_folder, "view 1 (001.png)", "looks away")


def test_opengl_axes_are_guessed_when_all_look_away(sphere_scene):
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    sphere_scene.cameras.poses = sphere_scene.cameras.poses @ flip
    report = check_loaded(sphere_scene)
    assert "looks away" in report.errors[0] and "OpenGL" in report.errors[0]
    assert "8 of 8 views" in report.errors[1] and len(report.errors) == 2
    with pytest.raises(SceneError, match="OpenGL"):
        report.raise_errors()


def test_a_camera_inside_the_sphere_is_a_warning(sphere_scene_folder):
    def change(matrices):
        for view in range(8):
            matrices[f"scale_mat_{view}"] = matrices[f"scale_mat_{view}"] @ np.diag([3.2, 3.2, 3.2, 1])

    rewrite_cameras(sphere_scene_folder, change)
    report = check_scene(sphere_scene_folder)
    assert report.ok and any("inside the unit sphere" in line for line in report.warnings)


def test_a_sphere_far_too_large_for_the_object_is_a_warning(sphere_scene):
    sphere_scene.cameras.poses[:, :3, 3] *= 1.0 / 2.5  # the unit sphere's outline grows, the masks do not
    for view, mask in enumerate(sphere_scene.masks):
        sphere_scene.masks[view] = torch.zeros_like(mask)
        sphere_scene.masks[view][22:26, 30:34] = True
    report = check_loaded(sphere_scene)
    assert report.ok and any("unit sphere's outline" in line for line in report.warnings)


def test_too_few_views(sphere_scene_folder):
    for count, found in ((5, "warnings"), (2, "errors")):
        for kind in ("image", "mask"):
            for view in range(count, 8):
                (sphere_scene_folder / kind / f"{view:03d}.png").unlink(missing_ok=True)
        report = check_scene(sphere_scene_folder)
        assert any(f"{count} views are" in line for line in getattr(report, found))
        assert report.ok == (found == "warnings")


def test_duplicates_are_warnings(sphere_scene_folder):
    shutil.copyfile(sphere_scene_folder / "image" / "002.png", sphere_scene_folder / "image" / "005.png")
    rewrite_cameras(
        sphere_scene_folder, lambda matrices: matrices.update(world_mat_6=matrices["world_mat_7"])
    )
    report = check_scene(sphere_scene_folder)
    assert report.ok
    assert any("views 2, 5 have the same image" in line for line in report.warnings)
    assert any("views 6, 7 have the same camera" in line for line in report.warnings)


def test_a_blurred_view_is_a_warning(sphere_scene):
    import cv2

    generator = np.random.default_rng(0)
    for view, image in enumerate(sphere_scene.images):
        noisy = image.numpy() // 2 + generator.integers(0, 100, image.shape, dtype=np.uint8)
        sphere_scene.images[view] = torch.from_numpy(cv2.GaussianBlur(noisy, (0, 0), 2 if view == 3 else 0.5))
    report = check_loaded(sphere_scene)
    assert report.ok and len(report.warnings) == 1 and "view 3 may be blurred" in report.warnings[0]


def test_an_overexposed_view_is_a_warning(sphere_scene_folder):
    rewrite(
        sphere_scene_folder / "image" / "006.png",
        lambda image: np.where(image.min(axis=-1, keepdims=True) > 60, 255, image).astype(np.uint8),
    )
    report = check_scene(sphere_scene_folder)
    assert report.ok and any("view 6 (006.png) may be overexposed" in line for line in report.warnings)


def test_masks_cut_by_the_frame_are_information(sphere_scene):
    sphere_scene.images = [image[:, 10:40] for image in sphere_scene.images]
    sphere_scene.masks = [mask[:, 10:40] for mask in sphere_scene.masks]
    sphere_scene.cameras.intrinsics[:, 0, 2] -= 10
    report = check_loaded(sphere_scene)
    assert report.ok and not report.warnings
    assert len(report.information) == 1 and "the frame cuts the object in views 0, 1" in report.information[0]


def test_names_that_contradict_the_pairing_are_warnings(sphere_scene_folder):
    (sphere_scene_folder / "mask" / "007.png").rename(sphere_scene_folder / "mask" / "017.png")
    report = check_scene(sphere_scene_folder)
    assert report.ok and "007.png is paired with mask 017.png" in report.warnings[0]
    for kind in ("image", "mask"):
        files = sorted((sphere_scene_folder / kind).iterdir())
        for path, name in zip(files, ["0", "1", "10", "11", "2", "3", "4", "5"], strict=True):
            path.rename(path.with_name(f"{name}.png"))
    report = check_scene(sphere_scene_folder)
    assert report.ok and len(report.warnings) == 1 and "sort as text (0.png, 1.png, ...)" in report.warnings[0]


def test_dtu_names_with_other_padding_are_no_contradiction(sphere_scene_folder):
    for path in list((sphere_scene_folder / "image").iterdir()):
        path.rename(path.with_name("000" + path.name))
    assert check_scene(sphere_scene_folder).warnings == []
