"""Meshes made to order, of a sphere of radius 0.6 beside one of radius 0.1."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh

from nsr.config.schema import RayTracerConfig
from nsr.errors import NsrError
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.finished import MeshOptions, finish_mesh
from nsr.meshing.manifold import is_closed_manifold
from nsr.meshing.trim import trim_unseen

SMALL = torch.tensor([0.0, 0.0, 0.85])


class TwoSpheres:
    def value(self, x):
        return torch.minimum(x.norm(dim=-1) - 0.6, (x - SMALL).norm(dim=-1) - 0.1)

    def geometry(self, x):
        first = x.norm(dim=-1) - 0.6 < (x - SMALL).norm(dim=-1) - 0.1
        gradient = torch.nn.functional.normalize(torch.where(first[:, None], x, x - SMALL), dim=-1)
        return self.value(x), gradient, x[:, :0]


@pytest.fixture
def renderer():
    sdf = TwoSpheres()
    return SimpleNamespace(
        sdf=sdf, value=sdf.value, radiance=lambda points, *_: points,
        tracer=SimpleNamespace(config=RayTracerConfig()),
    )  # fmt: skip


def test_the_plain_mesh_is_closed_with_exact_normals(renderer):
    made = finish_mesh(renderer, MeshOptions(resolution=40))
    assert made.watertight and is_closed_manifold(made.mesh.faces) and made.mesh.body_count == 1
    assert made.extracted_faces == len(made.mesh.faces) and made.error == 0 and made.texture is None
    outward = made.mesh.vertices / np.linalg.norm(made.mesh.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(made.normals, outward, atol=1e-5)
    assert np.abs(made.colours - (made.mesh.vertices + 1) * 127.5).max() <= 0.51


def test_colours_beyond_black_and_white_are_cut(renderer):
    renderer.radiance = lambda points, *_: 4 * points  # the sphere's radius is 0.6
    made = finish_mesh(renderer, MeshOptions(resolution=40))
    wanted = ((4 * made.mesh.vertices + 1) * 127.5).clip(0, 255)
    assert {0, 255} < set(made.colours.ravel()) and np.abs(made.colours - wanted).max() <= 0.51


def test_all_components_or_the_largest(renderer):
    assert finish_mesh(renderer, MeshOptions(resolution=40, all_components=True)).mesh.body_count == 2


@pytest.mark.parametrize("length", [0.02, 0.04])
def test_edges_have_the_length_asked_for(length):
    mesh = extract_mesh(lambda x: x.norm(dim=1) - 0.6, edge_length=length)
    assert mesh.edges_unique_length.mean() == pytest.approx(length, rel=0.05)


def test_impossible_lengths():
    for length, message in ((0.0, "above zero"), (1e-4, "cells along the object")):
        with pytest.raises(NsrError, match=message):
            extract_mesh(lambda x: x.norm(dim=1) - 0.6, edge_length=length)


def test_decimated_and_textured(renderer):
    pytest.importorskip("fast_simplification")
    pytest.importorskip("xatlas")
    made = finish_mesh(renderer, MeshOptions(resolution=40, max_error=0.005, texture="radiance", texture_size=128))
    assert made.watertight and 0 < made.error <= 0.005
    assert len(made.mesh.faces) < made.extracted_faces / 3
    assert len(made.texture.uv) == len(made.mesh.vertices) == len(made.normals) == len(made.colours)
    assert max(made.texture.picture.shape) == 128


def test_trimming_keeps_what_cameras_see(sphere_truth):
    ball = trimesh.creation.icosphere(4, 0.6)
    sizes = [sphere_truth.size] * 8
    trimmed = trim_unseen(ball, sphere_truth.cameras, [0], sizes, seen_by=1)
    centre = sphere_truth.cameras.centres[0].numpy()
    # a point of the sphere is in sight where the plane through it leaves the camera outside
    expected = trimmed.triangles_center @ centre / 0.6**2
    assert expected.min() > 1 - 0.1
    cap = 2 * np.pi * 0.6**2 * (1 - 0.6 / np.linalg.norm(centre))
    assert trimmed.area == pytest.approx(cap, rel=0.05)
    assert not trimmed.is_watertight
    with pytest.raises(NsrError, match="no face"):
        trim_unseen(ball, sphere_truth.cameras, [0], sizes, seen_by=2)
    with pytest.raises(NsrError, match="at least 1"):
        trim_unseen(ball, sphere_truth.cameras, [0], sizes, seen_by=0)


def test_what_needs_a_scene_says_so(renderer):
    for options in (MeshOptions(seen_by=1), MeshOptions(texture="photographs")):
        with pytest.raises(NsrError, match="need the scene"):
            finish_mesh(renderer, options)
    with pytest.raises(NsrError, match="not 'gold'"):
        finish_mesh(renderer, MeshOptions(texture="gold"))
    with pytest.raises(NsrError, match="too many for a texture"):
        finish_mesh(renderer, MeshOptions(texture="radiance", faces=300_000))
