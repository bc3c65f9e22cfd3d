"""A run that needs no training (the sphere that a network starts from, saved as training saves it), and a browser."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from nsr.config.reader import load_config
from nsr.rendering.model import build_renderer
from nsr.scenes.idr_folder import load_scene
from nsr.training.checkpoints import save_checkpoint
from nsr.training.run import renderer_state

PATIENCE = 120  # seconds for a browser on a busy machine
CONF = """train {{ expname = watched }}
dataset {{ data_dir = "{scene}", scan_id = -1 }}
model {{
  feature_vector_size = 8
  implicit_network {{
    dims = [64, 64], skip_in = [], bias = 0.5
    encoding {{
      name = "MultiResHash", levels = 4, features = 2, log2_table = 10, base_resolution = 4, finest_resolution = 32
    }}
  }}
  rendering_network {{ dims = [16] }}
}}
"""


@dataclass
class WatchedRun:
    """A run folder whose surface is moved outward by ``offset`` at every new checkpoint."""

    folder: Path
    scene: Path

    def save(self, step: int, offset: float = 0.0) -> None:
        """Write a checkpoint of the sphere, its SDF lowered by ``offset``."""
        config = load_config(self.folder / "runconf.conf")
        torch.manual_seed(0)
        renderer = build_renderer(config.model)
        last = [parameter for name, parameter in renderer.sdf.named_parameters() if name.endswith("bias")][-1]
        with torch.no_grad():
            last[0] -= offset
        cameras = load_scene(self.scene).cameras.to("cpu", torch.float32)
        state = {"step": step, "train_seconds": 60.0, "peak_memory_mb": 1.0, "renderer": renderer_state(renderer, 1.0)}
        save_checkpoint(self.folder, step, {**state, "intrinsics": cameras.intrinsics, "poses": cameras.poses})


@pytest.fixture
def watched(sphere_scene_folder, tmp_path) -> WatchedRun:
    folder = tmp_path / "exps" / "watched_sphere" / "2026_01_01_00_00_00"
    for name in ("checkpoints", "logs"):
        (folder / name).mkdir(parents=True)
    (folder / "runconf.conf").write_text(CONF.format(scene=sphere_scene_folder))
    run = WatchedRun(folder, sphere_scene_folder)
    run.save(100)
    return run


@pytest.fixture
def wait_for():
    """A function that waits for a condition to hold and returns what it gave; ``what`` is for the message."""

    def wait(condition, what):
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, f"no {what} after {PATIENCE} s"
            time.sleep(0.1)
        return found

    return wait


@pytest.fixture
def open_browser(chromium, tmp_path, wait_for):
    """A function that opens a viser server's page in Chromium and returns the client that the server sees."""
    browsers = []
    flags = (
        "--headless --no-sandbox --use-angle=swiftshader --enable-unsafe-swiftshader --disable-background-networking "
        "--disable-component-update --disable-sync --no-first-run --window-size=700,500 --remote-debugging-port=0"
    ).split()

    def browse(server):
        address = f"http://127.0.0.1:{server.get_port()}"
        command = [chromium, *flags, f"--user-data-dir={tmp_path / 'profile'}", address]
        browsers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return next(iter(wait_for(server.get_clients, "client").values()))

    yield browse
    for browser in browsers:
        browser.terminate()
        browser.wait()


@pytest.fixture
def seen(wait_for):
    """A function of a client to what is not white in its browser, ``[H, W]`` bool, and the picture, 120 x 160.

    ``camera``: wxyz, position and fov of where to stand (without them, where the browser does).  A browser that is
    still setting up its page loses requests: they are made again.
    """

    def look(client, **camera):
        def rendered():
            try:
                return client.get_render(120, 160, timeout=10, **camera)
            except TimeoutError:
                return None

        picture = wait_for(lambda: [found] if (found := rendered()) is not None else [], "render")[0]
        picture = picture[..., :3].astype(int)
        return np.abs(picture - 255).max(axis=-1) > 40, picture

    return look
