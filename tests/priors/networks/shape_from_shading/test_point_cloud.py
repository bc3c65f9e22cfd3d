import numpy as np
import pytest
import trimesh

from nsr.errors import NsrError
from nsr.priors.networks.shape_from_shading.point_cloud import write_point_cloud
from nsr.priors.networks.shape_from_shading.rig import Rig


@pytest.mark.parametrize("normals", [True, False])
def test_a_cloud_holds_the_masked_points_in_metres(tmp_path, normals):
    rig = Rig(focal=(200.0, 210.0))
    depth = 1 + 0.1 * np.random.default_rng(0).random((20, 30))
    mask = depth > 1.04
    write_point_cloud(tmp_path / "cloud.ply", depth, mask, rig, normals=normals)
    cloud = trimesh.load(tmp_path / "cloud.ply", process=False)
    np.testing.assert_allclose(cloud.vertices, rig.points(depth)[mask], rtol=1e-6)
    assert (b"nx" in (tmp_path / "cloud.ply").read_bytes()[:400]) == normals


def test_normals_of_a_tilted_plane_are_written(tmp_path):
    rig = Rig(focal=(200.0, 200.0))
    depth = 1 / (1 - 0.2 * rig.rays(24, 24)[..., 0])  # z = 1 + 0.2 x
    write_point_cloud(tmp_path / "plane.ply", depth, np.ones((24, 24), dtype=bool), rig, normals=True)
    content = (tmp_path / "plane.ply").read_bytes()
    header, _, body = content.partition(b"end_header\n")
    kind = [(line.split()[2].decode(), "<f4") for line in header.split(b"\n") if line.startswith(b"property float")]
    first = np.frombuffer(body, dtype=kind, count=24 * 24)
    expected = np.array([0.2, 0, -1]) / np.hypot(0.2, 1)
    for name, value in zip(("nx", "ny", "nz"), expected, strict=True):
        np.testing.assert_allclose(first[name], value, atol=1e-6)


def test_an_empty_mask_is_told_and_writes_nothing(tmp_path):
    with pytest.raises(NsrError, match="leaves no point"):
        write_point_cloud(tmp_path / "cloud.ply", np.ones((4, 4)), np.zeros((4, 4), dtype=bool), Rig())
    assert not list(tmp_path.iterdir())
