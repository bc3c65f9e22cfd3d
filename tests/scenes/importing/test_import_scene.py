"""The whole import: what is asked for, what is written, and that a failure leaves nothing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from nsr.cli.main import main
from nsr.errors import SceneError
from nsr.scenes.check import check_scene
from nsr.scenes.downscale import downscale_scene
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.importing.formats import detect_format
from nsr.scenes.importing.import_scene import ImportOptions, import_scene
from nsr.scenes.importing.normalisation import Sphere
from nsr.scenes.importing.object_masks import MaskOptions


def test_the_command(transforms_folder, capture, tmp_path, capsys):
    target = tmp_path / "out" / "kürbis scene"
    assert main(["scene", "import", str(transforms_folder), str(target)]) == 0
    out = capsys.readouterr().out
    assert "8 views from transforms, masks by alpha" in out and "IoU with the visual hull" in out
    capture.assert_imported(target)
    assert check_scene(target).ok
    assert sorted(path.name for path in target.iterdir()) == ["cameras.npz", "image", "import.json", "mask"]


def test_jpegs_stay_jpegs(transforms_folder, capture, tmp_path):
    content = (transforms_folder / "transforms.json").read_text().replace(".png", ".jpg")
    (transforms_folder / "transforms.json").write_text(content)
    for name, picture in zip(capture.names, capture.pictures, strict=True):
        Image.fromarray(picture).save(transforms_folder / "images" / name.replace(".png", ".jpg"), quality=95)
    import_scene(transforms_folder, tmp_path / "scene", ImportOptions(masks=capture.save_masks(tmp_path / "masks")))
    assert {path.suffix for path in (tmp_path / "scene" / "image").iterdir()} == {".jpg"}


def test_views_can_be_chosen_by_a_file(transforms_folder, capture, tmp_path):
    (tmp_path / "good.txt").write_text(
        "\n".join([capture.names[6], capture.names[1][:-4], capture.names[3], ""]), "utf-8"
    )
    assert (
        main(["scene", "import", str(transforms_folder), str(tmp_path / "s"), "--views", str(tmp_path / "good.txt")])
        == 0
    )
    scene = load_scene(tmp_path / "s", heldout_every=0)
    assert [int(np.argmax([np.array_equal(image, p) for p in capture.pictures])) for image in scene.images] == [1, 3, 6]
    (tmp_path / "bad.txt").write_text("nobody.png")
    with pytest.raises(SceneError, match="1 of the 1 views that are asked for are not there: nobody.png"):
        import_scene(transforms_folder, tmp_path / "t", ImportOptions(views=["nobody.png"]))


def test_a_sphere_by_hand(transforms_folder, tmp_path):
    arguments = ["scene", "import", str(transforms_folder), str(tmp_path / "s")]
    assert main([*arguments, "--center", "1", "-2", "0.5", "--radius", "2"]) == 0
    np.testing.assert_allclose(
        load_scene(tmp_path / "s").scale_mat, [[2, 0, 0, 1], [0, 2, 0, -2], [0, 0, 2, 0.5], [0, 0, 0, 1]]
    )
    assert main([*arguments[:-1], str(tmp_path / "t"), "--center", "1", "-2", "0.5"]) == 2
    assert (
        main(
            [
                *arguments[:-1],
                str(tmp_path / "t"),
                "--center",
                "1",
                "-2",
                "0.5",
                "--radius",
                "2",
                *"--box 0 0 0 1 1 1".split(),
            ]
        )
        == 2
    )
    assert not (tmp_path / "t").exists()


def test_explicitly_without_masks(transforms_folder, tmp_path):
    with pytest.raises(SceneError, match="give --center and --radius"):
        import_scene(transforms_folder, tmp_path / "s", ImportOptions(masks="none"))
    report = import_scene(
        transforms_folder, tmp_path / "s", ImportOptions(masks="none", sphere=Sphere(np.array([1, -2, 0.5]), 2.0))
    )
    assert report.overlap == []
    assert all(mask.all() for mask in load_scene(tmp_path / "s").masks)


def test_a_threshold(transforms_folder, capture, tmp_path):
    """The background is 40 of 255, the object nowhere darker than 70."""
    for name, picture, mask in zip(capture.names, capture.pictures, capture.masks, strict=True):
        bright = np.where(mask[..., None], np.maximum(picture, 70), 40).astype(np.uint8)
        Image.fromarray(bright).save(transforms_folder / "images" / name)
    import_scene(
        transforms_folder, tmp_path / "s", ImportOptions(masks="threshold", mask_options=MaskOptions(threshold=0.2))
    )
    for mask, truth in zip(load_scene(tmp_path / "s").masks, capture.masks, strict=True):
        np.testing.assert_array_equal(mask.numpy(), truth)


def test_mixed_sizes(transforms_folder, capture, tmp_path):
    """One photograph is a crop of the left half; its camera says so."""
    path = transforms_folder / "images" / capture.names[2]
    with Image.open(path) as picture:
        picture.crop((0, 0, 50, 48)).save(path)
    content = json.loads((transforms_folder / "transforms.json").read_text())
    content["frames"][2]["w"] = 50
    (transforms_folder / "transforms.json").write_text(json.dumps(content))
    import_scene(transforms_folder, tmp_path / "s")
    assert [tuple(image.shape[:2]) for image in load_scene(tmp_path / "s").images] == [(48, 64)] * 2 + [(48, 50)] + [
        (48, 64)
    ] * 5


def test_large_photographs_are_made_smaller_with_their_cameras(transforms_folder, capture, tmp_path):
    """As importing everything and downscaling the scene; a size that none exceeds changes nothing."""
    masks = ["--masks", str(capture.save_masks(tmp_path / "masks"))]
    sizes = [picture.shape[:2] for picture in capture.pictures]
    longer = max(max(size) for size in sizes)
    for name, most in (("whole", longer), ("small", longer // 2)):
        arguments = ["scene", "import", str(transforms_folder), str(tmp_path / name), "--max_size", str(most)]
        assert main([*arguments, *masks, "--center", "0", "0", "0", "--radius", "4"]) == 0
    capture_sized = load_scene(tmp_path / "whole", heldout_every=0)
    assert [tuple(mask.shape) for mask in capture_sized.masks] == sizes
    half = (round(sizes[0][0] * (longer // 2) / longer), round(sizes[0][1] * (longer // 2) / longer))
    downscale_scene(tmp_path / "whole", tmp_path / "expected", size=half)
    small, expected = (load_scene(tmp_path / name, heldout_every=0) for name in ("small", "expected"))
    torch.testing.assert_close(small.cameras.intrinsics, expected.cameras.intrinsics)
    torch.testing.assert_close(small.cameras.poses, expected.cameras.poses)
    for view in range(len(small)):
        assert tuple(small.masks[view].shape) == half
        assert torch.equal(small.images[view], expected.images[view])
        assert torch.equal(small.masks[view], expected.masks[view])


def test_a_source_without_masks_says_what_can_be_done(transforms_folder, capture, tmp_path):
    capture.save(transforms_folder / "images")
    with pytest.raises(SceneError, match="say --masks threshold .* --masks none"):
        import_scene(transforms_folder, tmp_path / "s")


def test_a_wrong_mask_is_named_and_wrong_cameras_are_refused(transforms_folder, capture, tmp_path, caplog):
    masks = capture.save_masks(tmp_path / "masks")
    grown = np.zeros((48, 64), dtype=bool)
    grown[4:44, 10:56] = True
    Image.fromarray(grown).save(masks / capture.names[4])
    import_scene(transforms_folder, tmp_path / "s", ImportOptions(masks=masks))
    assert [record.message.count("disagrees") for record in caplog.records] == [1] and capture.names[4] in caplog.text
    content = json.loads((transforms_folder / "transforms.json").read_text())
    for frame in content["frames"]:  # taken for OpenGL, these look away from the object
        frame["transform_matrix"] = (np.array(frame["transform_matrix"]) @ np.diag([1, -1, -1, 1])).tolist()
    (transforms_folder / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(SceneError, match="contradict each other"):
        import_scene(transforms_folder, tmp_path / "t")
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder, name: (folder / "images" / name).write_bytes(b"junk"), "not a picture"),
        (lambda folder, name: cut_short(folder / "images" / name), "cannot be read"),
        (lambda folder, name: Image.new("RGBA", (64, 48)).save(folder / "images" / name), "no alpha channel"),
    ],
)
def test_damaged_photographs_leave_nothing(transforms_folder, capture, tmp_path, spoil, message):
    spoil(transforms_folder, capture.names[5])
    with pytest.raises(SceneError, match=message) as caught:
        import_scene(transforms_folder, tmp_path / "out" / "s")
    assert capture.names[5] in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-900])


def test_masks_that_do_not_fit(transforms_folder, capture, tmp_path):
    masks = capture.save_masks(tmp_path / "masks")
    Image.new("L", (32, 24), 255).save(masks / capture.names[3])
    with pytest.raises(SceneError, match="the mask is 32x24 but the photograph .* is 64x48"):
        import_scene(transforms_folder, tmp_path / "s", ImportOptions(masks=masks))
    Image.new("L", (64, 48)).save(masks / capture.names[3])
    with pytest.raises(SceneError, match="the mask by folder is empty"):
        import_scene(transforms_folder, tmp_path / "s", ImportOptions(masks=masks))
    (masks / capture.names[3]).unlink()
    with pytest.raises(SceneError, match=f"there is no mask for .*{capture.names[3]}"):
        import_scene(transforms_folder, tmp_path / "s", ImportOptions(masks=masks))
    with pytest.raises(SceneError, match="there is no such folder of masks"):
        import_scene(transforms_folder, tmp_path / "s", ImportOptions(masks=tmp_path / "nowhere"))


def test_a_scene_is_not_written_over(transforms_folder, tmp_path):
    import_scene(transforms_folder, tmp_path / "s")
    with pytest.raises(SceneError, match="exists already"):
        import_scene(transforms_folder, tmp_path / "s")


def test_sources_that_are_none(tmp_path):
    with pytest.raises(SceneError, match="no such file or folder"):
        detect_format(tmp_path / "nowhere")
    with pytest.raises(SceneError, match="no format is recognised"):
        detect_format(tmp_path)


def test_formats_are_recognised(transforms_folder, tmp_path):
    assert detect_format(transforms_folder) == "transforms"
    assert detect_format(transforms_folder / "transforms.json") == "transforms"
    shutil.move(transforms_folder / "transforms.json", transforms_folder / "transforms_train.json")
    assert detect_format(transforms_folder) == "blender"
    (transforms_folder / "transforms_train.json").unlink()
    (transforms_folder / "a_par.txt").write_text("0")
    assert detect_format(transforms_folder) == "middlebury"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--matcher", "sequential"], "--matcher goes with --format photographs"),
        (["--format", "colmap", "--board", "7", "5", "30", "8"], "--board goes with --format board"),
        (["--board", "7.5", "5", "30", "8"], "must be whole numbers"),
        (["--board", "7", "5", "30", "8"], "the board is seen in 0 of 8 photographs"),
        (["--masks", "matting"], "matting: there is no such folder of masks"),
        (["--format", "llff"], "poses_bounds.npy: not a .npy"),
    ],
)
def test_wrong_arguments_get_one_line(transforms_folder, tmp_path, capsys, arguments, message):
    assert main(["scene", "import", str(transforms_folder), str(tmp_path / "s"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "s").exists()
