"""transforms.json of nerfstudio and instant-ngp, and Blender's synthetic scenes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from nsr.errors import SceneError
from nsr.scenes.importing.import_scene import import_scene
from nsr.scenes.importing.transforms import read_transforms


def change(folder, edit):
    path = folder / "transforms.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_intrinsics_per_frame_are_kept(transforms_folder, capture, tmp_path):
    report = import_scene(transforms_folder, tmp_path / "scene")
    assert report.format == "transforms" and report.masks == "alpha"
    assert min(report.overlap) > 0.9
    capture.assert_imported(tmp_path / "scene")
    record = json.loads((tmp_path / "scene" / "import.json").read_text(encoding="utf-8"))
    assert [view["photograph"] for view in record["views"]] == [f"./images/{name}" for name in capture.names]


def test_masks_of_frames_are_used(transforms_folder, capture, tmp_path):
    capture.save(transforms_folder / "images")
    capture.save_masks(transforms_folder / "masks")
    change(
        transforms_folder,
        lambda content: [
            frame.update(mask_path=f"masks/{name}")
            for frame, name in zip(content["frames"], capture.names, strict=True)
        ],
    )
    assert import_scene(transforms_folder, tmp_path / "scene").masks == "source"
    capture.assert_imported(tmp_path / "scene")


def test_blender_scenes_have_an_angle_and_no_suffix(capture, tmp_path):
    """And the middle of the picture as the principal point: (31.5, 23.5) in a picture of 64x48."""
    folder = tmp_path / "lego"
    capture.save(folder / "train", alpha=True)
    frames = [
        {"file_path": f"./train/{name[:-4]}", "transform_matrix": (pose @ np.diag([1, -1, -1, 1])).tolist()}
        for name, pose in zip(capture.names, capture.poses, strict=True)
    ]
    frames.reverse()
    angle = 2 * np.arctan(32 / 70)
    (folder / "transforms_train.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    source = read_transforms(folder)
    assert source.format == "blender" and [view.image.name for view in source.views] == capture.names
    for view, pose in zip(source.views, capture.poses, strict=True):
        np.testing.assert_allclose(view.intrinsics, [[70, 0, 31.5], [0, 70, 23.5], [0, 0, 1]])
        np.testing.assert_allclose(view.pose, pose, atol=1e-12)


def test_frames_are_ordered_by_number(transforms_folder):
    def edit(content):
        frame = content["frames"][0]
        content["frames"] = [{**frame, "file_path": f"images/r_{number}.png"} for number in (10, 2, 1)]

    change(transforms_folder, edit)
    for number in (1, 2, 10):
        Image.new("RGB", (64, 48)).save(transforms_folder / "images" / f"r_{number}.png")
    assert [view.image.stem for view in read_transforms(transforms_folder).views] == ["r_1", "r_2", "r_10"]


def test_lenses_of_both_kinds(transforms_folder):
    change(transforms_folder, lambda content: content.update(k1=0.1, k2=0.2, p1=0.01, p2=0.02))
    lens = read_transforms(transforms_folder).views[0].lens
    assert lens.projection == "perspective" and lens.radial[:2] == (0.1, 0.2) and lens.tangential == (0.01, 0.02)
    change(transforms_folder, lambda content: content.update(camera_model="OPENCV_FISHEYE"))
    assert read_transforms(transforms_folder).views[0].lens.projection == "equidistant"


def test_smaller_copies_of_the_photographs(transforms_folder, capture, tmp_path):
    """images_2 of nerfstudio: the intrinsics are for the large ones."""
    for name in capture.names:
        path = transforms_folder / "images" / name
        with Image.open(path) as picture:
            picture.reduce(2).save(path)
    import_scene(transforms_folder, tmp_path / "scene")
    points = capture.surface_points()
    with np.load(tmp_path / "scene" / "cameras.npz") as archive:
        homogeneous = points @ archive["world_mat_3"][:3, :3].T + archive["world_mat_3"][:3, 3]
    expected = (capture.project(3, points) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.pop("frames"), "no list of frames"),
        (lambda content: content.update(frames=[]), "no list of frames"),
        (lambda content: content["frames"][0].pop("transform_matrix"), "needs file_path and transform_matrix"),
        (lambda content: content["frames"][2].update(transform_matrix=[[1, 2], [3]]), "not made of numbers"),
        (
            lambda content: content["frames"][2].update(transform_matrix=[[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]]),
            "no rotation",
        ),
        (lambda content: content["frames"][2].update(fl_x="long"), "fl_x is 'long' and not a number"),
        (lambda content: content["frames"][2].pop("fl_x"), "neither fl_x nor camera_angle_x"),
        (lambda content: content.update(camera_model="EQUIRECTANGULAR"), "unknown camera model EQUIRECTANGULAR"),
        (
            lambda content: content["frames"][5].update(file_path="images/gone.png"),
            "1 of 8 photographs are missing.*gone.png",
        ),
        (lambda content: content["frames"][5].update(w=100), "is 64x48 but its camera is for 100x48"),
    ],
)
def test_bad_files_get_one_line_and_leave_nothing(transforms_folder, tmp_path, edit, message):
    change(transforms_folder, edit)
    with pytest.raises(SceneError, match=message) as caught:
        import_scene(transforms_folder, tmp_path / "out" / "scene")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_json_that_is_cut_short(transforms_folder):
    path = transforms_folder / "transforms.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(SceneError, match="not JSON, or cut short"):
        read_transforms(transforms_folder)
