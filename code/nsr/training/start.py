"""Where a run starts: fields on a sphere or on the visual hull of the training views."""

from __future__ import annotations

import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.fields.initialisation import fit_distance, initialise_sphere
from nsr.rendering.bounds import HullBounds
from nsr.rendering.model import build_renderer
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.scene import Scene
from nsr.scenes.visual_hull import VisualHull

STARTS = ("sphere", "hull")


def carve_hull(config: Config, scene: Scene, device: torch.device, masked: bool = True) -> VisualHull | None:
    """The visual hull of the training views, where the conf makes use of one and the scene is ``masked``."""
    if config.train.init not in STARTS:
        raise ConfigError(f"train.init is {config.train.init!r}; known are {', '.join(STARTS)}")
    tracer = config.model.ray_tracer
    if not masked or config.train.init != "hull" and config.loss.silhouette_weight <= 0 and tracer.hull_margin <= 0:
        return None
    masks = [scene.masks[view].to(device) for view in scene.train_views]
    cameras = scene.cameras.select(scene.train_views).to(device)
    return VisualHull.carve(masks, cameras, config.train.hull_resolution)


def start_renderer(
    config: Config, hull: VisualHull | None, device: torch.device, masked: bool = True
) -> SurfaceRenderer:
    """A renderer whose SDF starts where the conf says; without masks, on the sphere and with a background."""
    renderer = build_renderer(config.model, background=not masked)
    if hull is not None and config.model.ray_tracer.hull_margin > 0:
        renderer.set_bounds(HullBounds(hull.grid.cpu(), config.model.ray_tracer.hull_margin))
    renderer.to(device)
    if config.train.init == "hull" and masked:
        fit_distance(renderer.sdf, hull.value, hull.surface_points(), config.train.hull_fit_steps)
    elif config.model.implicit_network.geometric_init:
        initialise_sphere(renderer.sdf, config.model.implicit_network.bias)
    return renderer
