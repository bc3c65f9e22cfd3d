"""LLFF, Polycam, Record3D and Metashape: written by hand from their descriptions, read to the same cameras."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from nsr.errors import SceneError
from nsr.scenes.importing.formats import detect_format, read_source
from nsr.scenes.importing.import_scene import ImportOptions, import_scene
from nsr.scenes.importing.llff import read_llff
from nsr.scenes.importing.metashape import read_metashape
from nsr.scenes.importing.polycam import read_polycam
from nsr.scenes.importing.record3d import read_record3d

OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture
def llff(capture, tmp_path):
    """The format has one focal length a view and no principal point."""
    folder = tmp_path / "fern"
    capture.save(folder / "images")
    rows = []
    for k, pose in zip(capture.intrinsics, capture.poses, strict=True):
        right, down, forward, centre = pose[:3].T
        matrix = np.column_stack([down, right, -forward, centre, [48, 64, k[0, 0]]])
        rows.append([*matrix.ravel(), 1.0, 10.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


@pytest.fixture
def polycam(capture, tmp_path):
    folder = tmp_path / "poly"
    (folder / "keyframes" / "corrected_cameras").mkdir(parents=True)
    capture.save(folder / "keyframes" / "corrected_images", alpha=True)
    for name, k, pose in zip(capture.names, capture.intrinsics, capture.poses, strict=True):
        values = {"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2] + 0.5, "cy": k[1, 2] + 0.5, "width": 64, "height": 48}
        values |= {f"t_{row}{column}": (pose @ OPENGL)[row, column] for row in range(3) for column in range(4)}
        path = (folder / "keyframes" / "corrected_cameras" / name).with_suffix(".json")
        path.write_text(json.dumps(values))
    return folder


@pytest.fixture
def record3d(capture, tmp_path):
    folder = tmp_path / "r3d"
    (folder / "rgb").mkdir(parents=True)
    for view, (picture, mask) in enumerate(zip(capture.pictures, capture.masks, strict=True)):
        Image.fromarray(np.dstack([picture, mask.astype(np.uint8) * 255])).save(folder / "rgb" / f"{view}.png")
    poses = [[*Rotation.from_matrix((p @ OPENGL)[:3, :3]).as_quat(), *p[:3, 3]] for p in capture.poses]
    intrinsics = [[k[0, 0], k[1, 1], k[0, 2] + 0.5, k[1, 2] + 0.5] for k in capture.intrinsics]
    values = {"w": 64, "h": 48, "fps": 60, "K": [70, 0, 0, 0, 71, 0, 32, 25, 1], "poses": poses}
    (folder / "metadata").write_text(json.dumps({**values, "perFrameIntrinsicCoeffs": intrinsics}))
    return folder


@pytest.fixture
def metashape(capture, tmp_path):
    folder = tmp_path / "agisoft"
    capture.save(folder / "images", alpha=True)
    sensors, cameras = "", ""
    for view, (name, k, pose) in enumerate(zip(capture.names, capture.intrinsics, capture.poses, strict=True)):
        sensors += f"""<sensor id="{view}" type="frame"><resolution width="64" height="48"/>
          <calibration type="frame" class="initial"><f>1</f></calibration>
          <calibration type="frame" class="adjusted"><resolution width="64" height="48"/><f>{k[1, 1]}</f>
          <cx>{k[0, 2] + 0.5 - 32}</cx><cy>{k[1, 2] + 0.5 - 24}</cy><b1>{k[0, 0] - k[1, 1]}</b1></calibration>
          </sensor>"""
        entries = " ".join(f"{entry:.17g}" for entry in pose.ravel())
        cameras += f"""<camera id="{view}" sensor_id="{view}" component_id="0" label="{name[:-4]}">
          <transform>{entries}</transform></camera>"""
    cameras += '<camera id="99" sensor_id="0" label="lost"/>'
    (folder / "cameras.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?><document version="1.5.0"><chunk>'
        f"<sensors>{sensors}</sensors>"
        f"<cameras>{cameras}</cameras></chunk></document>",
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize("format", ["polycam", "record3d", "metashape"])
def test_the_scene_is_the_capture(format, capture, tmp_path, request):
    folder = request.getfixturevalue(format)
    assert detect_format(folder) == format
    import_scene(folder, tmp_path / "scene")
    capture.assert_imported(tmp_path / "scene")


def test_llff_keeps_poses_and_focal_lengths(llff, capture, tmp_path):
    source = read_source(llff)
    assert source.format == "llff"
    for view, pose, k in zip(source.views, capture.poses, capture.intrinsics, strict=True):
        np.testing.assert_allclose(view.pose, pose, atol=1e-12)
        np.testing.assert_allclose(view.intrinsics, [[k[0, 0], 0, 31.5], [0, k[0, 0], 23.5], [0, 0, 1]])
    import_scene(llff, tmp_path / "scene", ImportOptions(masks=capture.save_masks(tmp_path / "masks")))


def test_llff_of_another_form(llff, capture):
    rows = np.load(llff / "poses_bounds.npy")
    for wrong, message in ((rows[:5], "5 poses but 8 photographs"), (rows[:, :15], "must hold 17 finite numbers")):
        np.save(llff / "poses_bounds.npy", wrong)
        with pytest.raises(SceneError, match=message):
            read_llff(llff)
    (llff / "poses_bounds.npy").write_bytes(b"junk")
    with pytest.raises(SceneError, match="not a .npy of numbers"):
        read_llff(llff)


def test_polycam_of_another_form(polycam, capture):
    path = (polycam / "keyframes" / "corrected_cameras" / capture.names[3]).with_suffix(".json")
    values = json.loads(path.read_text())
    del values["t_12"]
    path.write_text(json.dumps(values))
    with pytest.raises(SceneError, match="bild 3é.json: it has no t_12"):
        read_polycam(polycam)
    path.unlink()
    (polycam / "keyframes" / "corrected_images" / capture.names[5]).unlink()
    with pytest.raises(SceneError, match="1 of 7 photographs are missing"):
        read_polycam(polycam)
    shutil.rmtree(polycam / "keyframes")
    with pytest.raises(SceneError, match="no Polycam keyframes"):
        read_polycam(polycam)


def test_record3d_of_another_form(record3d):
    path = record3d / "metadata"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "perFrameIntrinsicCoeffs": None}))
    # K column by column: fx, 0, 0, 0, fy, 0, cx, cy, 1
    np.testing.assert_allclose(read_record3d(record3d).views[2].intrinsics, [[70, 0, 31.5], [0, 71, 24.5], [0, 0, 1]])
    for change, message in (
        ({"poses": values["poses"][:-1]}, "7 poses and 8 intrinsics but 8 numbered pictures"),
        ({"poses": [[0] * 7] * 8}, "quaternion of zeros"),
        ({"poses": "none"}, "poses is missing or not made of numbers"),
        ({"w": None}, "it has no w"),
    ):
        path.write_text(json.dumps({**values, **change}))
        with pytest.raises(SceneError, match=message):
            read_record3d(record3d)


def edit_xml(folder, change):
    tree = ElementTree.parse(folder / "cameras.xml")
    change(tree.getroot())
    tree.write(folder / "cameras.xml", encoding="utf-8")


def test_metashapes_distortion_is_its_manuals(metashape):
    """Appendix D: x' = x (1 + K1 r2 + ...) + P1 (r2 + 2 x2) + 2 P2 x y, y' likewise, u = w / 2 + cx + x' f + ..."""
    k1, k2, k3, k4, p1, p2, b2 = 0.1, -0.05, 0.02, 0.01, 0.003, -0.004, 0.7

    def distort(root):
        calibration = root.findall(".//calibration")[1]
        for tag, value in (("k1", k1), ("k2", k2), ("k3", k3), ("k4", k4), ("p1", p1), ("p2", p2), ("b2", b2)):
            ElementTree.SubElement(calibration, tag).text = str(value)

    edit_xml(metashape, distort)
    view = read_metashape(metashape).views[0]
    x, y = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 50))
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + k4 * r2**4
    x1 = x * radial + p1 * (r2 + 2 * x**2) + 2 * p2 * x * y
    y1 = y * radial + p2 * (r2 + 2 * y**2) + 2 * p1 * x * y
    found = view.lens.distort(np.stack([x, y], axis=1)) @ view.intrinsics[:2, :2].T + view.intrinsics[:2, 2]
    f, b1, cx, cy = 71.0, -1.0, 31.0 + 0.5 - 32, 24.0 + 0.5 - 24
    expected = np.stack([32 + cx + x1 * (f + b1) + y1 * b2, 24 + cy + y1 * f], axis=1) - 0.5
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_cameras_that_metashape_could_not_align_are_left_out(metashape, caplog):
    edit_xml(metashape, lambda root: root.findall(".//camera")[1].set("component_id", "7"))
    assert len(read_metashape(metashape).views) == 7
    assert "2 of 9 cameras are not aligned" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root.find(".//sensor").set("type", "spherical"), "sensor 0: unknown kind spherical"),
        (lambda root: [s.remove(c) for s in root.iter("sensor") for c in s.findall("calibration")], "no calibration"),
        (lambda root: setattr(root.find(".//transform"), "text", "1 2 3"), "transform must be 16 numbers; it has 3"),
        (lambda root: root.find("chunk").remove(root.find(".//sensors")), "sensor . is not in the file"),
        (
            lambda root: [c.remove(c.find("transform")) for c in list(root.iter("camera"))[:-1]],
            "none of its 9 cameras is",
        ),
    ],
)
def test_metashape_of_another_form(metashape, change, message):
    edit_xml(metashape, change)
    with pytest.raises(SceneError, match=message):
        read_metashape(metashape)


def test_metashape_cut_short(metashape):
    content = (metashape / "cameras.xml").read_bytes()
    (metashape / "cameras.xml").write_bytes(content[:-50])
    with pytest.raises(SceneError, match="not XML, or cut short"):
        read_metashape(metashape)
