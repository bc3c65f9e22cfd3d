"""A run that needs no training: the sphere scene's own sphere, 0.02 too large, in one colour."""

import contextlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nsr.config.schema import Config, RayTracerConfig
from nsr.evaluation.evaluate import evaluate_run
from nsr.rendering.ray_tracing import RayTracer
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import load_scene

RADIUS = 0.62
GREY = 0.2  # in [-1, 1]


class SphereField:
    def __init__(self, radius):
        self.radius = radius

    def value(self, x):
        return x.norm(dim=-1) - self.radius

    def geometry(self, x):
        return self.value(x), torch.nn.functional.normalize(x, dim=-1), x[:, :0]


@dataclass
class SphereRun:
    """The attributes of a loaded run that evaluation reads."""

    renderer: SimpleNamespace
    cameras: Cameras
    folder: Path
    config: Config = field(default_factory=Config)
    train_seconds: float = 12.5
    peak_memory_mb: float = 345.0
    step: int = 700


def make_sphere_run(cameras: Cameras, folder: Path) -> SphereRun:
    sdf = SphereField(RADIUS)
    tracer = RayTracer(RayTracerConfig())
    renderer = SimpleNamespace(
        sdf=sdf,
        value=sdf.value,
        radiance=lambda points, directions, normals, feature: torch.full_like(points, GREY),
        background=None,
        parameters=lambda: [torch.zeros(7)],
        tracer=tracer,
        trace=lambda *rays, tracer=tracer: tracer.trace(sdf.value, *rays),
    )
    (folder / "logs").mkdir(parents=True)
    (folder / "runconf.conf").write_text("train { expname = <sphere> }\n")
    (folder / "logs" / "losses.csv").write_text("step,rgb,eikonal\n0,0.5,0.1\n10,0.25,\n20,0.1,0.02\n")
    return SphereRun(renderer, cameras, folder)


@pytest.fixture
def sphere_run(sphere_scene, tmp_path) -> SphereRun:
    return make_sphere_run(sphere_scene.cameras, tmp_path / "run")


@pytest.fixture(scope="session")
def evaluated(_sphere_scene_master, tmp_path_factory) -> tuple[dict, Path, str]:
    """One evaluation for all who only look: its metrics, its folder, and what it printed."""
    scene, folder = load_scene(_sphere_scene_master), tmp_path_factory.mktemp("evaluated")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        metrics = evaluate_run(
            make_sphere_run(scene.cameras, folder / "run"), scene, folder / "evaluation", resolution=64
        )
    return metrics, folder / "evaluation", printed.getvalue()
