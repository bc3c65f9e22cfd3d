"""Cameras from a ring of ArUco markers, on pictures of one that are warped exactly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from nsr.cli.main import main
from nsr.errors import SceneError
from nsr.scenes.importing.board import MarkerRing, read_board, write_board

RING = MarkerRing(columns=6, rows=5, marker=20.0, gap=10.0)
SIZE = (480, 640)
INTRINSICS = np.array([[700.0, 0, 325.0], [0, 700.0, 236.0], [0, 0, 1]])


def pose_towards(azimuth, elevation=0.9, distance=420.0):
    outward = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    forward = -outward
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = np.array([RING.size[0] / 2, RING.size[1] / 2, 0]) + distance * outward
    return pose


POSES = [pose_towards(0.8 * view, elevation=0.5 + 0.15 * (view % 5)) for view in range(8)]


def photograph(pose, scale=8.0):
    """The sheet through a pinhole camera: sheet pixels to the plane z = 0 to photograph pixels, antialiased."""
    sheet = np.pad(RING.picture(scale), 60, constant_values=255)
    height = RING.size[1]
    to_plane = np.array([[1 / scale, 0, (0.5 - 60) / scale], [0, -1 / scale, height - (0.5 - 60) / scale], [0, 0, 1]])
    world_to_camera = np.linalg.inv(pose)
    to_pixels = INTRINSICS @ world_to_camera[:3][:, [0, 1, 3]]
    fine = np.array([[4, 0, 1.5], [0, 4, 1.5], [0, 0, 1]])
    large = cv2.warpPerspective(
        sheet, fine @ to_pixels @ to_plane, (SIZE[1] * 4, SIZE[0] * 4), flags=cv2.INTER_AREA, borderValue=90
    )
    return cv2.resize(large, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "auf dem Tisch"
    folder.mkdir()
    for view, pose in enumerate(POSES):
        grey = photograph(pose)
        Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(folder / f"{view}.png")
    return folder


def test_cameras_are_found_in_the_boards_frame(folder):
    source = read_board(folder, ring=RING)
    assert [view.name for view in source.views] == [f"{view}.png" for view in range(8)]
    for view, found in enumerate(source.views):
        true = POSES[view]
        turn = found.pose[:3, :3] @ true[:3, :3].T
        assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 1
        assert np.linalg.norm(found.pose[:3, 3] - true[:3, 3]) < 0.02 * 420
        # what counts for the object: points above the sheet are seen where they are
        above = np.random.default_rng(view).uniform((40, 40, 0), (130, 100, 50), (50, 3))
        expected = (above - true[:3, 3]) @ true[:3, :3] @ INTRINSICS.T
        in_camera = (above - found.pose[:3, 3]) @ found.pose[:3, :3]
        pixels = found.lens.distort(in_camera[:, :2] / in_camera[:, 2:]) @ found.intrinsics[:2, :2].T
        error = pixels + found.intrinsics[:2, 2] - expected[:, :2] / expected[:, 2:]
        assert np.abs(error).max() < 1
    np.testing.assert_allclose(source.views[0].intrinsics[0, 0], 700, rtol=0.03)
    centre, radius = source.sphere
    assert centre[:2].tolist() == [85, 70] and radius == pytest.approx(55)  # the hole is 4 and 3 cells wide


def test_a_photograph_without_the_board_is_left_out(folder, tmp_path, caplog):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (640, 480), (90, 90, 90)).save(tmp_path / "x.png")
    assert len(read_board(tmp_path, ring=RING).views) == 8
    assert "not seen in x.png" in caplog.text


def test_a_board_that_is_never_seen(tmp_path):
    for view in range(4):
        Image.new("RGB", (64, 48), (90, 90, view)).save(tmp_path / f"{view}.png")
    with pytest.raises(SceneError, match="seen in 0 of 4 photographs.*nsr scene board"):
        read_board(tmp_path)


def test_the_wrong_measures(folder):
    with pytest.raises(SceneError, match="miss the ring's measures by"):
        read_board(folder, ring=MarkerRing(columns=5, rows=6, marker=20.0, gap=10.0))


def test_photographs_of_two_sizes(folder, tmp_path):
    for path in folder.iterdir():
        with Image.open(path) as picture:
            (picture.crop((0, 0, 640, 470)) if path.stem == "2" else picture).save(tmp_path / path.name)
    with pytest.raises(SceneError, match="one size and one zoom"):
        read_board(tmp_path, ring=RING)


def test_the_printed_sheet_has_its_true_size(tmp_path):
    assert main(["scene", "board", str(tmp_path / "sheet.png"), "--board", "6", "5", "20", "10"]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert np.array(sheet.size) / 300 * 25.4 == pytest.approx(np.array(RING.size) + 20, abs=0.2)
        numbers = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_100)).detectMarkers(
            np.array(sheet.convert("L"))
        )[1]
    assert sorted(numbers.ravel().tolist()) == list(range(18))
    write_board(tmp_path / "sheet.pdf", RING)
    assert (tmp_path / "sheet.pdf").read_bytes()[:4] == b"%PDF"


@pytest.mark.parametrize("ring", [MarkerRing(columns=2), MarkerRing(marker=0.0), MarkerRing(columns=60, rows=60)])
def test_rings_that_cannot_be(ring, tmp_path):
    with pytest.raises(SceneError, match="a ring of"):
        write_board(tmp_path / "a.png", ring)
