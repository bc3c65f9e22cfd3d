"""A run that needs no training: the sphere that a network starts from, saved as training saves it."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nsr.config.reader import load_config
from nsr.rendering.model import build_renderer
from nsr.scenes.idr_folder import load_scene
from nsr.training.checkpoints import save_checkpoint
from nsr.training.run import renderer_state

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
