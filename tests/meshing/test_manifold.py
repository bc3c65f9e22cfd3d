import numpy as np
import trimesh

from nsr.meshing.manifold import is_closed_manifold, make_manifold


def edge_counts(faces):
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(np.unique(edges, axis=0, return_counts=True)[1])


def two_tetrahedra(shared):
    """Two tetrahedra that share as many vertices: 1 is a pinch, 2 an edge of four faces."""
    one = trimesh.Trimesh([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    assert one.is_watertight and one.is_winding_consistent
    faces, vertices = one.faces, one.vertices
    far = vertices * [-1, -1, 1]
    again = faces.copy()
    again[faces >= shared] += 4 - shared
    return trimesh.Trimesh(np.concatenate([vertices, far[shared:]]), np.concatenate([faces, again]), process=False)


def test_a_sphere_is_one_and_comes_back_itself():
    ball = trimesh.creation.icosphere(2)
    assert is_closed_manifold(ball.faces)
    assert make_manifold(ball) is ball


def test_an_open_or_badly_wound_mesh_is_none():
    ball = trimesh.creation.icosphere(1)
    assert not is_closed_manifold(ball.faces[1:])
    turned = ball.faces.copy()
    turned[0] = turned[0, ::-1]
    assert not is_closed_manifold(turned)


def test_a_pinched_vertex_and_an_edge_of_four_faces_are_cut_apart():
    for shared in (1, 2):
        touching = two_tetrahedra(shared)
        assert not is_closed_manifold(touching.faces)
        mesh = make_manifold(touching)
        assert is_closed_manifold(mesh.faces)
        assert len(mesh.faces) == 8 and len(mesh.vertices) == 8
        np.testing.assert_allclose(mesh.triangles, touching.triangles)  # nothing moved
        assert mesh.body_count == 2


def test_a_fin_is_dropped():
    ball = trimesh.creation.icosphere(1)
    edge = ball.faces[0, :2]
    tip = len(ball.vertices)
    fin = [[edge[0], edge[1], tip], [edge[1], edge[0], tip]]
    with_fin = trimesh.Trimesh(
        np.concatenate([ball.vertices, [[2.0, 0, 0]]]), np.concatenate([ball.faces, fin]), process=False
    )
    mesh = make_manifold(with_fin)
    assert is_closed_manifold(mesh.faces) and len(mesh.faces) == len(ball.faces)


def test_borders_stay_open():
    disc = trimesh.creation.icosphere(2)
    faces = disc.faces[disc.triangles_center[:, 2] > 0]
    mesh = make_manifold(trimesh.Trimesh(disc.vertices, faces, process=False))
    assert set(edge_counts(mesh.faces)) == {1, 2}
    assert len(mesh.faces) == len(faces)
