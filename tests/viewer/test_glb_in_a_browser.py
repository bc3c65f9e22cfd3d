"""A textured GLB as a browser shows it: its own reader (three.js, through viser) has the last word."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from nsr.meshing.export import export_mesh
from nsr.meshing.texture import Texture

pytest.importorskip("viser", reason="the viewer's library is not installed")

from nsr.viewer.viewer import start_server  # noqa: E402

# by rows of the texture from above; the page's tone mapping pales colours, but keeps which channel leads
QUARTERS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [60, 60, 60]]], dtype=np.uint8)


def test_a_texture_is_upright_in_its_own_colours(open_browser, seen, wait_for, tmp_path):
    corners = np.array([[-1.0, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]])  # seen from -y, z upwards
    square = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    picture = QUARTERS.repeat(32, axis=0).repeat(32, axis=1)
    texture = Texture(uv=(corners[:, [0, 2]] + 1) / 2, picture=picture)
    path = export_mesh(square, tmp_path / "square.glb", texture=texture, unlit=True)
    server = start_server("127.0.0.1", 0)
    try:
        server.scene.add_glb("/square", path.read_bytes())
        client = open_browser(server)
        turn = Rotation.from_matrix(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])).as_quat()  # right x, down -z
        camera = {"wxyz": np.roll(turn, 1), "position": np.array([0.0, -4, 0]), "fov": 0.8}
        wait_for(lambda: seen(client, **camera)[0].sum() > 500, "square")
        _, shown = seen(client, **camera)
    finally:
        server.stop()
    (upper_left, upper_right), (lower_left, lower_right) = shown[np.ix_([45, 75], [65, 95])]
    assert [colour.argmax() for colour in (upper_left, upper_right, lower_left)] == [0, 1, 2]
    assert all(np.ptp(colour) > 80 for colour in (upper_left, upper_right, lower_left))
    assert np.ptp(lower_right) < 10 and lower_right.max() < 150
