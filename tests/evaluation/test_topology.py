"""Pieces, holes and handles of meshes whose numbers are known."""

import numpy as np
import pytest
import trimesh

from nsr.evaluation.topology import Topology, compare_topology, measure_topology

BALL = trimesh.creation.icosphere(2)
TORUS = trimesh.creation.torus(0.6, 0.2)


def without(mesh, faces):
    return trimesh.Trimesh(mesh.vertices, np.delete(mesh.faces, faces, axis=0), process=False)


def moved(mesh):
    return mesh.copy().apply_translation([3, 0, 0])


@pytest.mark.parametrize(
    "mesh, expected",
    [
        (BALL, Topology(1, 0, 0, 0)),
        (TORUS, Topology(1, 0, 0, 1)),
        (trimesh.util.concatenate([TORUS, moved(BALL)]), Topology(2, 0, 0, 1)),
        (trimesh.util.concatenate([TORUS, moved(TORUS)]), Topology(2, 0, 0, 2)),
        (without(BALL, [0]), Topology(1, 3, 1, 0)),
        (without(TORUS, [0, 1, 300]), Topology(1, 7, 2, 1)),
        (trimesh.creation.annulus(0.5, 1.0, 0.2), Topology(1, 0, 0, 1)),
    ],
    ids=["ball", "torus", "torus and ball", "two tori", "a ball with a hole", "a torus with two", "annulus"],
)
def test_counts(mesh, expected):
    assert measure_topology(mesh) == expected
    assert measure_topology(mesh).watertight == (expected.boundary_edges == 0)


def test_seams_are_no_holes():
    """Every face with vertices of its own, as in a file of triangles."""
    soup = trimesh.Trimesh(
        TORUS.triangles.reshape(-1, 3), np.arange(3 * len(TORUS.faces)).reshape(-1, 3), process=False
    )
    assert measure_topology(soup) == Topology(1, 0, 0, 1)


def test_edges_of_three_faces_have_no_genus():
    fan = trimesh.Trimesh(
        [[0, 0, 0], [0, 0, 1], [1, 0, 0], [-1, 1, 0], [-1, -1, 0]], [[0, 1, 2], [0, 1, 3], [0, 1, 4]], process=False
    )
    topology = measure_topology(fan)
    assert topology.genus is None and not topology.watertight and topology.boundary_edges == 6


def test_an_empty_mesh_has_nothing():
    assert measure_topology(trimesh.Trimesh()) == Topology(0, 0, 0, 0)


def test_figures_name_what_floats_beside_the_mesh():
    figures = compare_topology(Topology(3, 0, 0, 1), Topology(1, 0, 0, 1), Topology(1, 0, 0, 0))
    assert figures == {
        "components": 3, "boundary_edges": 0, "holes": 0, "genus": 1, "watertight": True,
        "true_components": 1, "true_genus": 0,
    }  # fmt: skip
    assert compare_topology(Topology(1, 0, 0, 0), Topology(1, 0, 0, 0), None)["true_genus"] is None
