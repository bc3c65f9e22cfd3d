"""Where a run starts: fields on a sphere or on the visual hull of the training views."""

from __future__ import annotations

import math

import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.fields.initialisation import fit_distance, initialise_sphere
from nsr.rendering.bounds import HullBounds
from nsr.rendering.model import build_renderer
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.scene import Scene
from nsr.scenes.silhouettes import Silhouettes
from nsr.scenes.synthetic.layouts import fibonacci_sphere
from nsr.scenes.trust import ViewTrust, assess_views
from nsr.scenes.visual_hull import VisualHull

STARTS = ("sphere", "hull")


def assess_and_carve(
    config: Config, scene: Scene, device: torch.device, masked: bool = True
) -> tuple[ViewTrust | None, VisualHull | None]:
    """How far the training views are believed, and their visual hull; each where the conf makes use of it, and the hull
    where the scene is ``masked``."""
    if config.train.init not in STARTS:
        raise ConfigError(f"train.init is {config.train.init!r}; known are {', '.join(STARTS)}")
    train, tracer = config.train, config.model.ray_tracer
    carve = masked and (train.init == "hull" or config.loss.silhouette_weight > 0 or tracer.hull_margin > 0)
    if not carve and not train.weigh_views:
        return None, None
    masks = [scene.masks[view].to(device) for view in scene.train_views]
    cameras = scene.cameras.select(scene.train_views).to(device)
    silhouettes = Silhouettes(masks, cameras)
    trust = assess_views(scene, masks, cameras, silhouettes, train.camera_noise) if train.weigh_views else None
    if not carve:
        return trust, None
    hull = VisualHull.carve(
        masks,
        cameras,
        train.hull_resolution,
        tolerance=train.hull_tolerance,
        outline_noise=train.outline_noise or math.inf,
        camera_noise=train.camera_noise,
        slacks=None if trust is None else trust.slacks,
        silhouettes=silhouettes,
    )
    return trust, hull


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


def rough_surface(config: Config, hull: VisualHull | None, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Points and unit normals ``[N, 3]``, pointing outward, of the visual hull, or of the sphere that stands for it."""
    if hull is not None:
        points = hull.surface_points()
        return points, hull.normals(points)
    normals = torch.from_numpy(fibonacci_sphere(2000, elevation=0.0)).to(device, torch.float32)
    return config.model.implicit_network.bias * normals, normals
