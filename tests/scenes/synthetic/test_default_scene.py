"""The default scene is no easy one: what silhouettes alone, and a smooth surface, leave undone."""

import dataclasses

import numpy as np
import pytest
import torch
import trimesh
from skimage.measure import marching_cubes

from nsr.meshing.point_to_surface import SurfaceIndex
from nsr.scenes.idr_folder import split_views
from nsr.scenes.synthetic import DEFAULT_SPEC
from nsr.scenes.synthetic.generate import make_renderer, make_surface, scene_cameras
from nsr.scenes.visual_hull import VisualHull

# Shape and cameras of the default scene; its colours and light do not matter here.
SPEC = dataclasses.replace(DEFAULT_SPEC, texture="flat", point_lights=0, supersampling=1)
COARSE = dataclasses.replace(SPEC, height=SPEC.height // 2, width=SPEC.width // 2)
TRAIN_VIEWS, _ = split_views(SPEC.views, 8, 4)


@pytest.fixture(scope="module")
def truth():
    return make_surface(SPEC)


@pytest.fixture(scope="module")
def views(truth):
    """Depth of every training view, every other pixel each way."""
    renderer, cameras = make_renderer(COARSE, truth), scene_cameras(COARSE)
    return [renderer.render(cameras, view, COARSE.height, COARSE.width).depth for view in TRAIN_VIEWS]


@pytest.fixture(scope="module")
def footprint(views):
    depth = torch.cat([depth[depth > 0] for depth in views])
    return (depth.median() / scene_cameras(SPEC).intrinsics[0, 0, 0]).item()


def chamfer(first, second):
    """Mean point-to-surface distance between two meshes, both ways."""
    distances = [
        SurfaceIndex(target).query(trimesh.sample.sample_surface(source, 4000, seed=0)[0])[0].mean()
        for source, target in ((first, second), (second, first))
    ]
    return np.mean(distances)


def as_mesh(surface):
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def test_the_object_nearly_fills_the_unit_sphere_and_every_frame(truth, views):
    assert 0.75 < np.linalg.norm(truth.vertices, axis=1).max() < 0.85
    for depth in views:
        mask = depth > 0
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())
        assert 0.45 < mask.double().mean() < 0.75


def test_its_visual_hull_misses_it_by_two_footprints(truth, views, footprint):
    masks = [depth > 0 for depth in views]
    hull = VisualHull.carve(masks, scene_cameras(COARSE).select(TRAIN_VIEWS).to(torch.float32), 96)
    vertices, faces, _, _ = marching_cubes(hull.grid.numpy(), 0.0)
    hull_mesh = trimesh.Trimesh(vertices * (2 / 95) - 1, faces, process=False)
    assert chamfer(hull_mesh, as_mesh(truth)) / footprint > 2.5


def test_its_relief_is_worth_more_than_four_fifths_of_a_footprint(truth, footprint):
    smooth = make_surface(SPEC.without_relief())
    assert 0.8 < chamfer(as_mesh(smooth), as_mesh(truth)) / footprint < 1.2


def test_all_of_it_is_seen_by_several_cameras(truth):
    """Also the bowls' floors: reconstructing them is hard, not impossible."""
    points, faces = trimesh.sample.sample_surface(as_mesh(truth), 4000, seed=0)
    points = torch.from_numpy(points).float()
    normals = torch.nn.functional.normalize(truth.shape.field_and_gradient(points)[1], dim=1)
    seen = torch.zeros(len(points))
    for centre in scene_cameras(SPEC).centres[TRAIN_VIEWS].float():
        towards = torch.nn.functional.normalize(centre - points, dim=1)
        seen += ((normals * towards).sum(1) > 0.1) & ~truth.is_blocked(points + 1e-3 * normals, towards)
    assert (seen >= 2).double().mean() > 0.995
    assert seen.median() >= 6
