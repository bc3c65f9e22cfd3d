import sys

import numpy as np
import pytest
import torch
import trimesh

from nsr.errors import NsrError
from nsr.meshing.decimation import decimate
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.manifold import is_closed_manifold

pytest.importorskip("fast_simplification")


def torus(x):
    return ((x[:, :2].norm(dim=1) - 0.5) ** 2 + x[:, 2] ** 2).sqrt() - 0.2


@pytest.fixture(scope="module")
def fine():
    return extract_mesh(torus, 48)


def distance_to_torus(points):
    return np.abs(torus(torch.from_numpy(np.asarray(points, dtype=np.float32))).numpy())


def test_to_a_number_of_faces(fine):
    smaller = decimate(fine, faces=2000)
    assert 1900 <= len(smaller.mesh.faces) <= 2000
    assert is_closed_manifold(smaller.mesh.faces) and smaller.mesh.euler_number == 0
    # a face of 2000 on this torus bends away from it by about edge^2 / (8 * 0.2)
    assert 0 < smaller.error < 0.01
    assert smaller.mesh.volume == pytest.approx(fine.volume, rel=0.01)


def test_within_an_error_there_are_as_few_faces_as_it_allows(fine):
    counts = []
    for bound in (0.004, 0.016):
        smaller = decimate(fine, max_error=bound)
        assert smaller.error <= bound
        own = distance_to_torus(fine.vertices).max()
        assert distance_to_torus(smaller.mesh.vertices).max() <= bound + own
        assert distance_to_torus(smaller.mesh.triangles_center).max() <= bound + own + 1e-6
        assert is_closed_manifold(smaller.mesh.faces)
        counts.append(len(smaller.mesh.faces))
    assert counts[1] < counts[0] / 2 < len(fine.faces) / 4


def test_the_error_reported_is_the_distance_moved():
    box = trimesh.creation.box()
    for _ in range(4):
        box = box.subdivide()
    assert decimate(box, faces=12).error == pytest.approx(0, abs=1e-6)  # flat sides lose nothing
    ball = trimesh.creation.icosphere(4)
    rough = decimate(ball, faces=100)
    inward = 1 - trimesh.proximity.closest_point_naive(rough.mesh, np.zeros((1, 3)))[1].min()
    assert rough.error >= inward - (1 - np.linalg.norm(ball.triangles_center, axis=1).min())


def test_what_is_small_already_stays(fine):
    assert decimate(fine, faces=len(fine.faces)).mesh is fine


@pytest.mark.parametrize("wanted", [{}, {"faces": 3}, {"max_error": 0.0}, {"max_error": float("nan")}])
def test_impossible_wishes(fine, wanted):
    with pytest.raises(NsrError, match="decimation"):
        decimate(fine, **wanted)


def test_no_faces_and_no_library(fine, monkeypatch):
    with pytest.raises(NsrError, match="without faces"):
        decimate(trimesh.Trimesh(), faces=10)
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    with pytest.raises(NsrError, match="pip install"):
        decimate(fine, faces=100)
