"""Whole scenes on disk: read back, exact, reproducible, and refused when they cannot be made."""

import dataclasses
import filecmp
import json

import numpy as np
import pytest
import torch
import trimesh

from nsr.errors import SceneError
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.synthetic import DEFAULT_SPEC, SHAPES, SyntheticSpec, make_scene
from nsr.scenes.synthetic.sensors.spec import SensorSpec
from nsr.scenes.synthetic.spec import ROOM_HALF_SIZE

SMALL = SyntheticSpec(views=6, height=48, width=60, field_of_view=38.0, supersampling=2)


@pytest.fixture(scope="module")
def small_scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "stone"
    make_scene(folder, SMALL)
    return folder


def view_arrays(folder, view):
    with np.load(folder / "ground_truth" / "views" / f"{view:03d}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def test_the_folder_reads_back_as_a_scene(small_scene):
    scene = load_scene(small_scene)
    assert len(scene) == 6 and scene.heldout_views == [4]
    assert scene.images[0].shape == (48, 60, 3)
    assert scene.scale == pytest.approx(100.0)
    np.testing.assert_allclose(scene.scale_mat[:3, 3], [20.0, -35.0, 60.0])
    torch.testing.assert_close(scene.cameras.centres.norm(dim=1), torch.full((6,), 3.0), atol=1e-4, rtol=0)
    assert scene.ground_truth_mesh == small_scene / "ground_truth" / "mesh.ply"


def test_mesh_is_the_true_surface_in_world_coordinates(small_scene):
    scene = load_scene(small_scene)
    mesh = trimesh.load(small_scene / "ground_truth" / "mesh.ply", process=False)
    shape = SHAPES[SMALL.shape]
    footprint = 2.5 / scene.cameras.intrinsics[0, 0, 0].item()
    # Vertices, and the faces' middles, where the mesh is farthest from the surface.
    for points, largest in ((mesh.vertices, 1e-3), (mesh.triangles_center, 0.02)):
        points = torch.from_numpy(scene.to_normalised(np.asarray(points))).float()
        value, gradient = shape.field_and_gradient(points)
        assert (value.abs() / gradient.norm(dim=1)).mean() < largest * footprint
    assert mesh.is_watertight and mesh.volume > 0


def test_true_vertices_project_into_every_mask(small_scene):
    scene = load_scene(small_scene)
    vertices = trimesh.load(small_scene / "ground_truth" / "mesh.ply", process=False).vertices[::37]
    points = torch.from_numpy(scene.to_normalised(np.asarray(vertices))).float()
    for view in range(len(scene)):
        pixels, _ = scene.cameras.project(torch.full((len(points),), view), points)
        column, row = pixels.round().long().unbind(-1)
        mask = scene.masks[view]
        inside = mask[row, column]
        grown = torch.nn.functional.max_pool2d(mask[None, None].float(), 3, 1, 1)[0, 0].bool()
        assert grown[row, column].all()
        assert inside.double().mean() > 0.97
        # And they fill it: no mask pixel is far from all of them.
        filled = torch.zeros_like(mask)
        filled[row, column] = True
        filled = torch.nn.functional.max_pool2d(filled[None, None].float(), 5, 1, 2)[0, 0].bool()
        assert filled[mask].double().mean() > 0.99


def test_depth_is_the_z_of_the_true_surface_in_world_units(small_scene):
    scene = load_scene(small_scene)
    view = 2
    depth = view_arrays(small_scene, view)["depth"]
    row, column = np.nonzero(depth)
    pixels = torch.from_numpy(np.stack([column, row], axis=-1)).float()
    origins, directions = scene.cameras.rays(torch.full((len(row),), view), pixels)
    z = directions @ scene.cameras.poses[view, :3, 2]
    points = origins + directions * (torch.from_numpy(depth[row, column]) / 100 / z).unsqueeze(-1)
    assert depth.dtype == np.float32
    assert SHAPES[SMALL.shape].field(points).abs().max() < 1e-4
    mask = scene.masks[view].numpy()
    assert ((depth > 0) != mask).sum() < 0.05 * mask.sum()


def test_picture_is_what_the_ground_truth_composes_to(small_scene):
    scene = load_scene(small_scene)
    for view in (0, 5):
        truth = {name: value.astype(np.float64) for name, value in view_arrays(small_scene, view).items() if value.ndim}
        seen = truth["coverage"][..., None]
        radiance = seen * (truth["albedo"] * truth["shading"] + truth["specular"]) + (1 - seen) * SMALL.background
        difference = np.abs(radiance.clip(0, 1) * 255 - scene.images[view].numpy())
        assert difference.max() < 1.2  # half a step of 8 bits, and float16
        np.testing.assert_array_equal(truth["coverage"] >= 0.5, scene.masks[view].numpy())
        hit = truth["depth"] > 0
        np.testing.assert_allclose(np.linalg.norm(truth["normal"], axis=-1)[hit], 1, atol=1e-5)


def test_every_view_file_says_its_units_and_axes(small_scene):
    conventions = str(view_arrays(small_scene, 0)["conventions"])
    assert "world units" in conventions and "optical axis" in conventions and "world frame" in conventions


def test_light_is_told_in_world_coordinates(small_scene):
    light = json.loads((small_scene / "ground_truth" / "light.json").read_text())
    assert np.shape(light["harmonics"]) == (9, 3)
    assert len(light["point_lights"]) == SMALL.point_lights
    for point_light in light["point_lights"]:
        offset = np.array(point_light["position"]) - SMALL.world_offset
        assert np.linalg.norm(offset) == pytest.approx(350.0)


def test_spec_is_kept_and_makes_the_same_scene_bit_for_bit(small_scene, tmp_path):
    kept = json.loads((small_scene / "ground_truth" / "spec.json").read_text())
    make_scene(tmp_path / "again", SyntheticSpec(**{**kept, "sensors": SensorSpec(**kept["sensors"])}))
    files = sorted(path.relative_to(small_scene) for path in small_scene.rglob("*") if path.is_file())
    assert files == sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()
    )
    arrays = [name for name in files if name.suffix == ".npz"]
    assert len(arrays) == 7
    for name in arrays:
        with np.load(small_scene / name) as first, np.load(tmp_path / "again" / name) as second:
            assert first.files == second.files
            for key in first.files:
                np.testing.assert_array_equal(first[key], second[key])
    others = [str(name) for name in files if name.suffix != ".npz"]
    assert filecmp.cmpfiles(small_scene, tmp_path / "again", others, shallow=False)[1:] == ([], [])


def test_another_seed_is_another_scene(small_scene, tmp_path):
    make_scene(tmp_path / "other", dataclasses.replace(SMALL, seed=1))
    first, second = load_scene(small_scene), load_scene(tmp_path / "other")
    assert (first.images[0].float() - second.images[0].float()).abs().mean() > 5
    assert torch.equal(first.masks[0], second.masks[0])


def test_without_relief_the_scene_is_smooth_and_close_by(small_scene, tmp_path):
    make_scene(tmp_path / "smooth", SMALL.without_relief())
    smooth = trimesh.load(tmp_path / "smooth" / "ground_truth" / "mesh.ply", process=False)
    rough = trimesh.load(small_scene / "ground_truth" / "mesh.ply", process=False)
    assert smooth.area < 0.97 * rough.area
    assert smooth.volume == pytest.approx(rough.volume, rel=0.02)


def test_a_room_fills_every_picture(tmp_path):
    make_scene(tmp_path / "room", dataclasses.replace(SMALL, room=True, views=3, supersampling=1))
    scene = load_scene(tmp_path / "room", heldout_every=0)
    assert all(mask.all() for mask in scene.masks)
    truth = view_arrays(tmp_path / "room", 0)
    assert (truth["depth"] > 0).all() and 0 < truth["coverage"].mean() < 1
    walls = truth["depth"][truth["coverage"] == 0]
    assert 300 < walls.min() and walls.max() < 100 * (3 + np.sqrt(3) * ROOM_HALF_SIZE)


def test_mesh_scene_of_a_real_file(data_root, tmp_path):
    pytest.importorskip("embreex", reason="embreex is not installed: meshes cannot be rendered")
    spec = dataclasses.replace(
        SMALL, shape=str(data_root / "meshes/bob/bob_tri.obj"), texture="own_times_procedural", views=3
    )
    make_scene(tmp_path / "bob", spec)
    scene = load_scene(tmp_path / "bob", heldout_every=0)
    mesh = trimesh.load(tmp_path / "bob" / "ground_truth" / "mesh.ply", process=False)
    assert mesh.is_watertight and mesh.euler_number == 0  # a swimming ring
    points = torch.from_numpy(scene.to_normalised(np.asarray(mesh.vertices))).float()
    assert points.norm(dim=1).max() == pytest.approx(0.8, abs=1e-3)
    for view in range(3):
        pixels, _ = scene.cameras.project(torch.full((len(points),), view), points)
        column, row = pixels.round().long().unbind(-1)
        grown = torch.nn.functional.max_pool2d(scene.masks[view][None, None].float(), 3, 1, 1)[0, 0].bool()
        assert grown[row, column].all()
    red, green, blue = (scene.images[0][scene.masks[0]].float().mean(0)).tolist()
    assert red > green > blue  # it is yellow


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"shape": "teapot"}, "unknown shape 'teapot'.*carved_stone"),
        ({"views": 0}, "views is 0; it must be from 1"),
        ({"width": 1}, "width is 1"),
        ({"layout": "spiral"}, "layout is 'spiral'; it must be one of sphere, ring, path"),
        ({"texture": "wood"}, "texture is 'wood'"),
        ({"texture": "own"}, "needs a mesh file"),
        ({"field_of_view": 190.0}, "field_of_view is 190.0"),
        ({"texture_contrast": float("nan")}, "texture_contrast is nan"),
        ({"world_scale": 0.0}, "world_scale is 0.0"),
        ({"world_offset": (0.0, float("inf"), 0.0)}, "world_offset"),
        ({"room": True, "distance": 8.0}, "distance is 8.0; with a room"),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused_by_name(changes, message, tmp_path):
    with pytest.raises(SceneError, match=message):
        make_scene(tmp_path / "scene", dataclasses.replace(DEFAULT_SPEC, **changes))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_has_a_scene_is_left_alone(small_scene):
    before = {path: path.stat().st_mtime_ns for path in small_scene.rglob("*")}
    with pytest.raises(SceneError, match="image exists already"):
        make_scene(small_scene, SMALL)
    assert {path: path.stat().st_mtime_ns for path in small_scene.rglob("*")} == before


def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", refuse)
    with pytest.raises(SceneError, match="cannot be written .No space left on device"):
        make_scene(tmp_path / "scene", dataclasses.replace(SMALL, shape="sphere"))
    assert list(tmp_path.iterdir()) == []


def test_a_lamp_goes_with_its_camera(tmp_path):
    """A matt ball under such a lamp alone looks alike from everywhere on a ring, and is lit as Lambert has it."""
    lamp = SyntheticSpec(
        shape="sphere", texture="flat", views=3, height=32, width=32, layout="ring", elevation=0.0, ambient=0.0,
        point_lights=0, specular=0.0, lamp=0.8, shadows=False,
    )  # fmt: skip
    make_scene(tmp_path / "ball", lamp)
    scene = load_scene(tmp_path / "ball")
    first, *others = (image.int() for image in scene.images)
    assert all((image - first).abs().float().mean() < 0.5 for image in others)
    view = view_arrays(tmp_path / "ball", 1)
    pose = scene.cameras.poses[1].double().numpy()
    place = pose[:3, :3] @ (3.0 * np.array(lamp.lamp_place)) + pose[:3, 3]
    inner = view["coverage"] == 1
    points = 0.75 * view["normal"][inner].astype(np.float64)
    towards = place - points
    squared = (towards**2).sum(-1)
    facing = ((points / 0.75) * towards).sum(-1).clip(0) / np.sqrt(squared)
    expected = 0.8 * facing * (place**2).sum() / squared
    assert expected.max() > 0.7
    np.testing.assert_allclose(view["shading"][inner][:, 0], expected, atol=0.02)
