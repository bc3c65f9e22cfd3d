"""Reading and writing of scene folders."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.cameras import projection_matrices
from nsr.scenes.idr_folder import load_scene, split_views, write_scene


def test_what_is_written_is_read_back(sphere_scene, sphere_truth):
    cameras = sphere_truth.cameras
    assert len(sphere_scene) == 8 and sphere_scene.name == "sphere"
    assert sphere_scene.heldout_views == [4] and sphere_scene.train_views == [0, 1, 2, 3, 5, 6, 7]
    np.testing.assert_allclose(sphere_scene.scale_mat, sphere_truth.scale_mat)
    torch.testing.assert_close(sphere_scene.cameras.intrinsics.double(), cameras.intrinsics, rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(sphere_scene.cameras.poses.double(), cameras.poses, rtol=1e-6, atol=1e-6)
    for view in range(8):
        image, mask = sphere_truth.render(view)
        assert sphere_scene.images[view].dtype == torch.uint8 and sphere_scene.masks[view].dtype == torch.bool
        np.testing.assert_array_equal(sphere_scene.images[view].numpy(), image)
        np.testing.assert_array_equal(sphere_scene.masks[view].numpy(), mask)


def test_world_matrices_are_k_r_t_in_world_coordinates(sphere_scene_folder, sphere_truth):
    """A world point, found by hand from the sphere's frame, falls on the pixel that the camera sees it at."""
    cameras, scale_mat = sphere_truth.cameras, sphere_truth.scale_mat
    point = torch.tensor([[0.1, -0.2, 0.3]], dtype=torch.float64)
    world = scale_mat[:3, :3] @ point[0].numpy() + scale_mat[:3, 3]
    with np.load(sphere_scene_folder / "cameras.npz") as archive:
        for view in range(8):
            world_mat = archive[f"world_mat_{view}"]
            np.testing.assert_array_equal(world_mat[3], [0, 0, 0, 1])
            assert np.linalg.norm(world_mat[2, :3]) == pytest.approx(1)  # the third row of a rotation
            homogeneous = world_mat[:3] @ [*world, 1]
            pixel, depth = cameras.project(torch.tensor([view]), point)
            np.testing.assert_allclose(homogeneous[:2] / homogeneous[2], pixel[0].numpy(), atol=1e-9)
            assert homogeneous[2] == pytest.approx(2.5 * float(depth))  # in world units


def test_projection_round_trip_on_real_cameras(data_root):
    """P -> K, pose -> P within 1e-5 relative, in the scene's float32."""
    folder = data_root / "DTU" / "scan65"
    scene = load_scene(folder)
    with np.load(folder / "cameras.npz") as archive:
        for view, again in enumerate(projection_matrices(scene.cameras.intrinsics, scene.cameras.poses).numpy()[:, :3]):
            original = (archive[f"world_mat_{view}"] @ archive[f"scale_mat_{view}"])[:3]
            original, again = original / np.linalg.norm(original[2, :3]), again / np.linalg.norm(again[2, :3])
            assert np.abs(again - original).max() / np.abs(original).max() < 1e-5
    assert len(scene) == 49 and scene.heldout_views == [4, 12, 20, 28, 36, 44]
    assert all(image.shape == (600, 800, 3) for image in scene.images)
    assert len(load_scene(folder, cam_file="cameras_linear_init.npz", heldout_every=0).train_views) == 49


def test_tankard_loads(data_root):
    scene = load_scene(data_root / "tankard")
    assert len(scene) == 40 and scene.masks[0].shape == (448, 448)
    assert 0 < scene.masks[0].float().mean() < 1


def test_img_res_halves_images_masks_and_intrinsics(sphere_scene_folder, sphere_truth):
    full, half = load_scene(sphere_scene_folder), load_scene(sphere_scene_folder, img_res=[24, 32])
    for view in range(8):
        blocks = full.images[view].reshape(24, 2, 32, 2, 3).float().mean(dim=(1, 3))
        assert (half.images[view].float() - blocks).abs().max() <= 0.5
    # the centre of a half-size pixel (u, v) is (2u + .5, 2v + .5) of the full size: the same ray
    pixels = torch.tensor([[0.0, 0.0], [31.0, 23.0], [12.0, 7.0]])
    view = torch.tensor([0, 3, 7])
    torch.testing.assert_close(half.cameras.rays(view, pixels)[1], full.cameras.rays(view, 2 * pixels + 0.5)[1])
    # and the small mask is the sphere's silhouette, bar the pixels that the outline cuts
    height, width = half.masks[0].shape
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).float()
    origins, directions = half.cameras.rays(torch.full((len(pixels),), 3), pixels)
    closest = (origins - (origins * directions).sum(-1, keepdim=True) * directions).norm(dim=-1)
    clear = (closest - sphere_truth.radius).abs() > 0.05
    assert clear.float().mean() > 0.8
    assert torch.equal((closest < sphere_truth.radius)[clear], half.masks[3].reshape(-1)[clear])


def test_a_larger_img_res_is_ignored_with_a_warning(sphere_scene_folder, caplog):
    with caplog.at_level(logging.WARNING, "nsr"):
        scene = load_scene(sphere_scene_folder, img_res=[1200, 1600])
    assert scene.images[0].shape == (48, 64, 3)
    assert "img_res 1200x1600" in caplog.text and "8 of 8" in caplog.text


@pytest.mark.parametrize("img_res", [[0, 64], [48], [48, -1]])
def test_an_impossible_img_res_is_an_error(sphere_scene_folder, img_res):
    with pytest.raises(SceneError, match="img_res is .* must be .height, width."):
        load_scene(sphere_scene_folder, img_res=img_res)


def test_memory_is_four_bytes_a_pixel(sphere_scene):
    """So 64 views of 1200x1600 are 0.49e9 bytes."""
    in_memory = sum(tensor.nbytes for tensor in [*sphere_scene.images, *sphere_scene.masks])
    held = sum(tensor.untyped_storage().nbytes() for tensor in [*sphere_scene.images, *sphere_scene.masks])
    assert in_memory == held == 8 * 48 * 64 * 4
    assert 64 * 1200 * 1600 * in_memory / (8 * 48 * 64) < 0.5e9


def test_views_of_different_sizes_and_kinds(sphere_scene_folder):
    image = sphere_scene_folder / "image"
    with Image.open(image / "001.png") as picture:
        reference = np.array(picture)
        rgba = picture.convert("RGBA")
        rgba.putalpha(100)
        palette = picture.quantize(200)
        grey = picture.convert("L")
    rgba.save(image / "001.png")
    palette.save(image / "000.png")
    grey.save(image / "002.JPEG", quality=95)
    (image / "002.png").unlink()
    Image.fromarray(np.array(grey).astype(np.uint16) * 257).save(image / "003.png")
    Image.fromarray(reference[:40, :50]).save(image / "005.png")
    with Image.open(sphere_scene_folder / "mask" / "005.png") as mask:
        cropped = mask.convert("RGB").crop((0, 0, 50, 40))
    cropped.save(sphere_scene_folder / "mask" / "005.jpg", quality=95)
    (sphere_scene_folder / "mask" / "005.png").unlink()
    scene = load_scene(sphere_scene_folder)
    assert all(tensor.dtype == torch.uint8 and tensor.shape[2] == 3 for tensor in scene.images)
    np.testing.assert_array_equal(scene.images[1].numpy(), reference)
    np.testing.assert_array_equal(scene.images[3].numpy()[..., 1], np.array(grey))
    assert np.abs(scene.images[0].numpy().astype(int) - reference).mean() < 4
    assert scene.images[5].shape == (40, 50, 3) and scene.masks[5].shape == (40, 50)


def test_a_scene_is_not_written_over(sphere_scene_folder, sphere_scene):
    with pytest.raises(SceneError, match="exists already"):
        write_scene(
            sphere_scene_folder, sphere_scene.images, sphere_scene.masks, sphere_scene.cameras, sphere_scene.scale_mat
        )


def test_a_failed_write_leaves_nothing(tmp_path, sphere_scene):
    masks = [*sphere_scene.masks[:-1], sphere_scene.masks[-1][:10]]
    with pytest.raises(SceneError, match="view 7 needs"):
        write_scene(tmp_path / "new", sphere_scene.images, masks, sphere_scene.cameras, sphere_scene.scale_mat)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path, sphere_scene, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(SceneError, match="No space left on device"):
        write_scene(
            tmp_path / "new", sphere_scene.images, sphere_scene.masks, sphere_scene.cameras, sphere_scene.scale_mat
        )
    assert list(tmp_path.iterdir()) == []


def test_a_scene_joins_what_a_folder_has(tmp_path, sphere_scene):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "notes.txt").write_text("kept")
    write_scene(
        tmp_path / "new", sphere_scene.images, sphere_scene.masks, sphere_scene.cameras, sphere_scene.scale_mat, "jpg"
    )
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "cameras.npz", "image", "mask", "notes.txt",
    ]
    again = load_scene(tmp_path / "new")
    assert all(torch.equal(a, b) for a, b in zip(again.masks, sphere_scene.masks, strict=True))


@pytest.mark.parametrize("every, offset", [(8, 4), (8, 0), (3, 2), (2, 1)])
def test_selection_views_are_split_off_the_training_ones(every, offset):
    train, heldout = split_views(30, every, offset)
    fewer, chosen = split_views(30, every, offset, selection=True)
    assert sorted(fewer + chosen) == train and not set(heldout) & {*fewer, *chosen}
    assert len(chosen) in (30 // every, 30 // every + 1)
    assert split_views(30, 0, 4, selection=True) == (list(range(30)), [])


def test_a_scene_for_selection_leaves_the_held_out_views_alone(sphere_scene_folder):
    scene = load_scene(sphere_scene_folder, selection=True)
    assert scene.train_views == [1, 2, 3, 5, 6, 7] and scene.heldout_views == [0]
