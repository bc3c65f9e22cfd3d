"""The viewer as a browser shows it: a headless Chromium is the client, and what it draws is read back."""

import contextlib
import threading

import numpy as np
import pytest

from nsr.scenes.idr_folder import load_scene
from nsr.training.run import load_run
from nsr.viewer.follower import RunFollower

viser = pytest.importorskip("viser", reason="the viewer's library is not installed")

from nsr.viewer.viewer import Viewer, start_server  # noqa: E402


@contextlib.contextmanager
def viewer_of(watched, run):
    server, stop = start_server("127.0.0.1", 0), threading.Event()
    follower = RunFollower(watched.folder, run, lambda: load_run(watched.folder))
    viewer = Viewer(server, follower, load_scene(watched.scene), levels=4, resolution=32)
    thread = threading.Thread(target=viewer.run, args=(stop,))
    thread.start()
    try:
        yield viewer
    finally:
        stop.set()
        thread.join()
        server.stop()


@pytest.fixture
def viewer(watched):
    with viewer_of(watched, load_run(watched.folder)) as viewer:
        yield viewer


@pytest.fixture
def client(viewer, open_browser):
    """The browser, as the server knows it."""
    return open_browser(viewer.server)


def test_a_browser_sees_the_surface_every_way_and_the_next_checkpoint(viewer, client, watched, wait_for, seen):
    panel = viewer.panel
    panel.cameras.value = False
    panel.pixels.value = 128

    def drawn(show, enough):
        panel.show.value = show
        wait_for(lambda: enough(seen(client)), show)
        return seen(client)

    mask, _ = drawn("mesh: normals", lambda shown: shown[0].sum() > 500)
    height, width = mask.shape
    assert mask[height // 2, width // 2] and not mask[0].any() and not mask[:, 0].any()

    # the same sphere traced: depth and normals where the mesh was, in the colours of each
    def is_blue(shown):
        return shown[1][height // 2, width // 2, 2] > 200

    traced, picture = drawn("render: normals", is_blue)
    assert (traced & mask).sum() / (traced | mask).sum() > 0.9
    middle = picture[height // 2, width // 2]
    assert np.abs(middle - [128, 128, 255]).max() < 30
    drawn("render: depth", lambda shown: shown[1][height // 2, width // 2, 2] < 180)

    # the training goes on
    watched.save(200, offset=0.2)
    wait_for(lambda: viewer.follower.run.step == 200, "new checkpoint")
    drawn("mesh: normals", lambda shown: shown[0].sum() > 1.4 * mask.sum())
    _, picture = drawn("mesh: plain", lambda shown: np.ptp(shown[1][height // 2, width // 2]) < 20)
    assert 60 < picture[height // 2, width // 2].mean() < 250  # grey
    assert "step 200" in panel.status.content and "triangles" in panel.status.content

    # a click's way: the browser goes to where a view's camera stood
    panel.cameras.value = True
    frustum = viewer.stage.frusta[3]
    with client.atomic():
        client.camera.wxyz, client.camera.position = frustum.wxyz, frustum.position
    wait_for(lambda: np.abs(client.camera.position - frustum.position).max() < 1e-2, "move of the camera")

    # a checkpoint without a surface
    watched.save(300, offset=-5.0)
    wait_for(lambda: "no surface inside the sphere" in panel.status.content, "word about it")


def test_what_the_panel_offers(viewer, watched, wait_for):
    assert viewer.levels == 4
    assert [viewer.panel.levels.min, viewer.panel.levels.max, viewer.panel.levels.value] == [1, 4, 4]
    wait_for(lambda: viewer.mesh is not None, "mesh")
    viewer.panel.levels.value = 1
    wait_for(lambda: viewer.mesh_state == (0, 1), "mesh of the coarsest level")
    encoding = viewer.follower.run.renderer.sdf.encoding
    assert encoding.weights.tolist() == [1, 1, 0, 0, 0, 0, 0, 0]
    held = [view for view, handle in viewer.stage.frusta.items() if handle.image is None]
    assert held == [4] and len(viewer.stage.frusta) == 8  # held-out views keep their photographs to themselves
    viewer.panel.photographs.value = False
    wait_for(lambda: all(handle.image is None for handle in viewer.stage.frusta.values()), "end of the photographs")


def test_it_opens_before_the_first_checkpoint(watched, wait_for):
    for path in (watched.folder / "checkpoints").iterdir():
        path.unlink()
    with viewer_of(watched, None) as viewer:
        wait_for(lambda: "no checkpoint yet" in viewer.panel.status.content, "word about it")
        assert len(viewer.stage.frusta) == 8 and viewer.mesh is None
        watched.save(200)
        wait_for(lambda: viewer.mesh is not None and viewer.stage.surface is not None, "surface")
        wait_for(lambda: "checkpoint of step 200" in viewer.panel.status.content, "word about it")
