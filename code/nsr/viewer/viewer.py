"""A live viewer: a small web server at which a browser shows a run, in training or finished.

All computing happens in the thread that calls ``Viewer.run``; the server's own threads only keep what people set.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import time

import trimesh

from nsr.errors import NsrError
from nsr.scenes.scene import Scene
from nsr.viewer.follower import RunFollower
from nsr.viewer.free_camera import FreeCamera, free_picture
from nsr.viewer.panel import MESH_STYLES, RENDER_MODES, Panel
from nsr.viewer.ports import require_free_port
from nsr.viewer.stage import Stage, surface_of

logger = logging.getLogger("nsr")

TICK = 0.05  # seconds between two looks at what people set,
POLL = 1.0  # and at the run
STILL = 0.25  # seconds after its last move, from which a camera gets its picture in full
COARSE = 160  # pixels of the longer side before
_DIGITS = 4  # of a camera: what moves less stands still


def start_server(host: str, port: int):
    """A ``viser.ViserServer`` that listens at this very port (0: any free one).

    Raises:
        NsrError: viser is not installed, or the port cannot be had.
    """
    try:
        import viser
    except ImportError as error:
        raise NsrError("the viewer needs viser: pip install 'nsr[viewer]'") from error
    require_free_port(host, port)
    # browsers open connections that they then do not use, which is no error
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):  # its banner, which names the address once more
        server = viser.ViserServer(host=host, port=port, label="nsr", verbose=False)
    if port not in (0, server.get_port()):  # viser goes on to the next where somebody was faster
        server.stop()
        raise NsrError(f"{host}:{port}: the port is taken; give another with --port, or 0 for any free one")
    return server


class Viewer:
    """Shows what a ``RunFollower`` follows.

    Args:
        server: a ``viser.ViserServer``.
        scene: the run's.
        levels: of the encoding of its SDF; 1 where there are none to open.
        resolution: of the mesh, along its shortest axis.
    """

    def __init__(self, server, follower: RunFollower, scene: Scene, levels: int, resolution: int = 128):
        self.server, self.follower, self.levels, self.resolution = server, follower, levels, resolution
        self.stage = Stage(server, scene, follower.run.cameras if follower.run else scene.cameras)
        self.panel = Panel(server, f"nsr: {scene.name}", self.levels)
        self.version = 0  # of what is shown: counts the checkpoints
        self.mesh: trimesh.Trimesh | None = None
        self.mesh_state: tuple | None = None  # of what the mesh is
        self.surface_state: tuple | None = None  # of what stands on the stage
        self.camera_state: tuple | None = None
        self.drawn: dict[int, tuple] = {}  # per client, of what its traced picture is,
        self.moved: dict[int, tuple[FreeCamera, float]] = {}  # and where it stands since when
        self.no_surface: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Follow the run and the people until ``stop`` is set."""
        next_poll = 0.0
        while not stop.is_set():
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + POLL
                if self.follower.refresh():
                    self.version += 1
                    self.stage.place_cameras(self.follower.run.cameras)
                self._tell()
            self.tick()
            stop.wait(TICK)

    def tick(self) -> None:
        """Draw whatever is not as it is set."""
        run, panel = self.follower.run, self.panel
        self._show_cameras()
        if run is None:
            return
        run.renderer.set_progress(min(run.progress, panel.progress(self.levels)))
        shown = panel.show.value
        if shown in MESH_STYLES:
            self._show_mesh(MESH_STYLES[shown])
        elif self.surface_state is not None:
            self.stage.hide_surface()
            self.surface_state = None
        clients = self.server.get_clients()
        for states in (self.drawn, self.moved):
            for gone in states.keys() - clients.keys():
                del states[gone]
        for client in clients.values():
            self._show_picture(client, RENDER_MODES.get(shown))

    def _show_cameras(self) -> None:
        state = (self.panel.cameras.value, self.panel.photographs.value)
        if state != self.camera_state:
            self.camera_state = state
            self.stage.show_cameras(*state)

    def _show_mesh(self, style: str) -> None:
        state = (self.version, self.panel.levels.value)
        if state != self.mesh_state:
            self.mesh_state, self.mesh, self.no_surface = state, None, None
            try:
                self.mesh = surface_of(self.follower.run, self.resolution)
            except NsrError as error:
                self.no_surface = f"step {self.follower.run.step}: {error}"
                logger.warning("%s", self.no_surface)
            self._tell()
        if (*state, style) != self.surface_state:
            self.surface_state = (*state, style)
            if self.mesh is None:
                self.stage.hide_surface()
            else:
                self.stage.show_surface(self.mesh, self.follower.run, style)

    def _show_picture(self, client, mode: str | None) -> None:
        """A client's traced picture behind the drawn cameras: coarse while it moves, then in full."""
        if mode is None:
            if self.drawn.pop(client.client_id, None) is not None:
                client.scene.set_background_image(None)
            return
        camera = client.camera
        if camera.image_height == 0:  # it has not told its size yet
            return
        seen = FreeCamera(
            tuple(camera.wxyz.round(_DIGITS).tolist()),
            tuple(camera.position.round(_DIGITS).tolist()),
            round(float(camera.fov), _DIGITS),
            camera.image_width / camera.image_height,
        )
        now = time.monotonic()
        if self.moved.get(client.client_id, (None,))[0] != seen:
            self.moved[client.client_id] = (seen, now)
        still = now - self.moved[client.client_id][1] > STILL
        longest = self.panel.pixels.value if still else COARSE
        state = (self.version, self.panel.levels.value, mode, seen, longest)
        if state == self.drawn.get(client.client_id):
            return
        self.drawn[client.client_id] = state
        run = self.follower.run
        radius = run.renderer.tracer.config.object_bounding_sphere
        picture, depth = free_picture(run.renderer, seen, mode, longest, radius)
        client.scene.set_background_image(picture, format="jpeg", jpeg_quality=88, depth=depth)

    def _tell(self) -> None:
        """Say in the panel what is shown."""
        run = self.follower.run
        if run is None:
            lines = ["no checkpoint yet: the surface appears with the first"]
        else:
            lines = [f"checkpoint of step {run.step:,}"]
            if run.train_seconds is not None:
                lines[0] += f", {run.train_seconds / 60:.1f} min"
        lines.append(self.follower.progress())
        if self.mesh is not None:
            lines.append(f"{len(self.mesh.faces):,} triangles")
        lines += [f"**{line}**" for line in (self.no_surface, self.follower.problem) if line]
        text = "  \n".join(line for line in lines if line)
        if text != self.panel.status.content:
            self.panel.status.content = text
