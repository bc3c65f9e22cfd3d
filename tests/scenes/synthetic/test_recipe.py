"""The recipes in confs/synthetic."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from nsr.cli import main as cli
from nsr.errors import ConfigError
from nsr.evaluation.geometry_metrics import pixel_footprint
from nsr.scenes.idr_folder import load_scene
from nsr.scenes.synthetic.generate import make_scene, make_surface, scale_matrix
from nsr.scenes.synthetic.recipe import load_recipe
from nsr.scenes.synthetic.spec import SyntheticSpec

RECIPES = Path(__file__).resolve().parents[3] / "confs" / "synthetic"
MESHES = {"spot": 0, "bob": 1, "nefertiti": 0}  # and how many handles they have


def changed(spec, base):
    return {
        field.name
        for field in dataclasses.fields(spec)
        if getattr(spec, field.name) != getattr(base, field.name)
    }


def test_each_mesh_has_its_four_recipes():
    names = {f"{mesh}_{texture}{room}" for mesh in MESHES for texture in ("textured", "flat") for room in ("", "_room")}
    assert {path.stem for path in RECIPES.glob("*.conf")} == {"studio", "relief", *names}


@pytest.mark.parametrize("mesh", MESHES)
def test_they_differ_in_what_their_names_say(mesh):
    textured, flat, textured_room, flat_room = (
        load_recipe(RECIPES / f"{mesh}_{kind}.conf") for kind in ("textured", "flat", "textured_room", "flat_room")
    )
    assert changed(textured, flat) == {"texture"} and flat.texture == "flat"
    assert changed(textured, textured_room) == changed(flat, flat_room) == {"room"} and textured_room.room
    assert textured.texture == ("procedural" if mesh == "nefertiti" else "own_times_procedural")
    assert (textured.views, textured.height, textured.width, textured.layout) == (32, 512, 512, "sphere")
    assert textured.point_lights == 1 and textured.ambient > 0 and 0 < textured.specular < 0.3


def test_a_mesh_that_is_nowhere_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NSR_DATA", str(tmp_path))
    assert cli.main(["scene", "make", str(tmp_path / "scene"), "--conf", str(RECIPES / "spot_flat.conf")]) == 2
    assert "meshes/spot/spot.obj" in capsys.readouterr().err and not (tmp_path / "scene").exists()


def test_flags_change_a_recipe(tmp_path):
    recipe = tmp_path / "ball.conf"
    recipe.write_text("shape = sphere\nviews = 2\nheight = 24\nwidth = 20\ntexture = flat\nworld_offset = [1, 2, 3]\n")
    assert load_recipe(recipe) == dataclasses.replace(
        SyntheticSpec(), shape="sphere", views=2, height=24, width=20, texture="flat", world_offset=(1.0, 2.0, 3.0)
    )
    folder = tmp_path / "scene"
    assert cli.main(["scene", "make", str(folder), "--conf", str(recipe), "--views", "3"]) == 0
    scene = load_scene(folder)
    assert len(scene) == 3 and scene.images[0].shape == (24, 20, 3) and tuple(scene.scale_mat[:3, 3]) == (1, 2, 3)
    recipe.write_text("shapes = sphere\n")
    with pytest.raises(ConfigError, match="did you mean shape"):
        load_recipe(recipe)


@pytest.mark.parametrize("mesh", MESHES)
def test_ground_truth_is_one_watertight_surface_of_the_right_size(mesh, data_root, tmp_path):
    """Vertices are merged across the seams of textures; depth, footprint and normals agree with the mesh."""
    pytest.importorskip("embreex", reason="embreex is not installed: meshes cannot be rendered")
    spec = dataclasses.replace(load_recipe(RECIPES / f"{mesh}_textured.conf"), views=3, width=64, height=64)
    surface = make_surface(spec)
    truth = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert truth.is_watertight and truth.is_winding_consistent and truth.volume > 0
    assert truth.body_count == 1 and truth.euler_number == 2 - 2 * MESHES[mesh]
    assert np.linalg.norm(surface.vertices, axis=1).max() == pytest.approx(0.8, abs=1e-5)

    make_scene(tmp_path / "scene", spec)
    scene = load_scene(tmp_path / "scene", heldout_every=0)
    focal = 64 / (2 * np.tan(np.radians(spec.field_of_view) / 2))
    assert (spec.distance - 0.8) / focal < pixel_footprint(scene, truth) < (spec.distance + 0.8) / focal
    matrix = scale_matrix(spec)
    for view in range(3):
        with np.load(tmp_path / "scene" / "ground_truth" / "views" / f"{view:03d}.npz") as given:
            depth, normal = given["depth"], given["normal"]
        v, u = np.nonzero(depth)
        pixels = torch.from_numpy(np.stack([u, v], axis=-1)).double()
        origins, directions = scene.cameras.to("cpu", torch.float64).rays(torch.full((len(u),), view), pixels)
        forward = directions @ scene.cameras.poses[view, :3, 2].double()
        points = origins + directions * (torch.from_numpy(depth[v, u] / matrix[0, 0]).double() / forward).unsqueeze(1)
        closest, distance, triangle = trimesh.proximity.closest_point(truth, points.numpy())
        assert distance.max() < 1e-4
        # Shading normals are interpolated; all face the camera's side of their facets.
        cosine = np.einsum("ij,ij->i", truth.face_normals[triangle], normal[v, u])
        assert np.quantile(cosine, 0.05) > 0.8
        assert np.median(np.einsum("ij,ij->i", directions.numpy(), normal[v, u])) < -0.3
