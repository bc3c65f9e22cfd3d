import numpy as np
import pytest
import trimesh

from nsr.errors import NsrError
from nsr.meshing.cleanup import largest_component, orient_outward, significant_components, without_hollows
from nsr.meshing.simplify import cluster_vertices


@pytest.fixture
def three_spheres():
    """Areas in the ratio 100 : 36 : 0.25, the small one with the most faces."""
    parts = [
        trimesh.creation.icosphere(2, 1.0),
        trimesh.creation.icosphere(2, 0.6),
        trimesh.creation.icosphere(4, 0.05),
    ]
    for place, part in enumerate(parts):
        part.apply_translation([3 * place, 0, 0])
    return trimesh.util.concatenate(parts)


def test_largest_is_by_area_not_by_faces(three_spheres):
    mesh = largest_component(three_spheres)
    assert mesh.bounds == pytest.approx(np.array([[-1, -1, -1], [1, 1, 1]]), abs=1e-9)
    assert len(mesh.vertices) == len(np.unique(mesh.faces))
    assert mesh.is_watertight


def test_significant_drops_crumbs_only(three_spheres):
    mesh = significant_components(three_spheres)
    assert mesh.body_count == 2
    assert mesh.area == pytest.approx(three_spheres.area - trimesh.creation.icosphere(4, 0.05).area)


def test_hollows_are_left_out_and_solids_beside_and_within_them_kept(three_spheres):
    hollow = trimesh.creation.icosphere(2, 0.5)
    hollow.invert()
    within = trimesh.creation.icosphere(2, 0.2)  # a stone in the hollow
    mesh = trimesh.util.concatenate([three_spheres, hollow, within])
    kept = without_hollows(mesh)
    assert kept.body_count == 4
    assert kept.area == pytest.approx(mesh.area - hollow.area)
    assert without_hollows(hollow).area == pytest.approx(hollow.area)  # alone it is the surface, however it faces


def test_no_faces_is_an_error():
    with pytest.raises(NsrError, match="no faces"):
        largest_component(trimesh.Trimesh())


def test_inside_out_components_are_turned_and_the_others_left(three_spheres):
    mixed = three_spheres.copy()
    first = len(trimesh.creation.icosphere(2).faces)
    mixed.faces[:first] = mixed.faces[:first, ::-1]
    mixed = trimesh.Trimesh(mixed.vertices, mixed.faces, process=False)
    assert mixed.volume < 0
    assert orient_outward(mixed).volume == pytest.approx(three_spheres.volume)
    assert (orient_outward(three_spheres).faces == three_spheres.faces).all()
    assert mixed.volume < 0  # the given mesh is left alone


def test_an_open_cap_is_turned_away_from_its_middle():
    ball = trimesh.creation.icosphere(3)
    cap = ball.submesh([np.flatnonzero(ball.triangles_center[:, 2] > -0.5)], append=True)
    inverted = trimesh.Trimesh(cap.vertices, cap.faces[:, ::-1], process=False)
    outward = np.einsum("ij,ij->i", orient_outward(inverted).face_normals, inverted.triangles_center)
    assert (outward > 0).all()


def test_clustering_keeps_shape_and_colour_with_few_faces():
    mesh = trimesh.creation.icosphere(6, 0.7)
    colours = np.where(mesh.vertices[:, 2:] > 0, np.uint8([[200, 40, 40]]), np.uint8([[40, 40, 200]]))
    small, small_colours = cluster_vertices(mesh, colours, 5000)
    assert 1000 < len(small.faces) <= 5000
    assert np.linalg.norm(small.vertices, axis=1) == pytest.approx(0.7, abs=0.02)
    assert small.area == pytest.approx(mesh.area, rel=0.05)
    assert small_colours.shape == (len(small.vertices), 3)
    top = small.vertices[:, 2] > 0.1
    assert (small_colours[top] == [200, 40, 40]).all()
    assert cluster_vertices(mesh, colours, 10**6)[0] is mesh
