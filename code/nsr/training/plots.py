"""Pictures of a run while it goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.meshing.colour import vertex_colours
from nsr.meshing.export import export_mesh
from nsr.meshing.extraction import extract_mesh
from nsr.rendering.image import render_view
from nsr.rendering.pictures import depth_picture, normal_picture
from nsr.scenes.cameras import Cameras
from nsr.scenes.pictures import as_uint8, write_picture
from nsr.scenes.resize import resize_intrinsics, resize_picture
from nsr.training.run_folder import PLOT_FOLDER
from nsr.training.run_page import write_run_page

logger = logging.getLogger("nsr")

LONGEST_SIDE = 320  # pixels of a render; larger photographs are drawn smaller
MOST_RAYS = 2048  # whose hits the page shows


@torch.no_grad()
def draw_plots(run_folder: Path, trainer) -> None:
    """Draw the current state into ``run_folder/plots``; every name ends in the step.

    * ``render_*.png``: photograph and render of one training view, side by side; each set takes the next view;
    * ``depth_*.png``, ``normal_*.png``: of the same render;
    * ``surface_*.ply``: the mesh at ``plot.resolution``, coloured, in world units;
    * ``run_*.html``: the mesh, the cameras and the hits of the rays that the next step will draw.

    The run is not disturbed: the random state afterwards is the one before, and nothing trained is touched.  Where
    there is no surface the mesh is left out, with a line in the log.

    Raises:
        NsrError: a file cannot be written.
    """
    folder = Path(run_folder) / PLOT_FOLDER
    step = f"{trainer.clock.step:06d}"
    try:
        _draw_view(folder, step, trainer)
        mesh, colours = _mesh(trainer)
        if mesh is not None:
            export_mesh(mesh, folder / f"surface_{step}.ply", colours=colours, scale_mat=trainer.scene.scale_mat)
        hits = _hits(trainer)
        write_run_page(folder / f"run_{step}.html", trainer.scene, trainer.cameras, mesh, colours, *hits)
    except OSError as error:
        raise NsrError(f"cannot write the pictures of step {step} to {folder}: {error.strerror or error}") from error


def _draw_view(folder: Path, step: str, trainer) -> None:
    views = trainer.scene.train_views
    view = views[len(list(folder.glob("render_*.png"))) % len(views)]
    photograph = trainer.scene.images[view].numpy()
    cameras, size = _shrunk(trainer.cameras, view, photograph.shape[:2])
    rendered = render_view(trainer.renderer, cameras, 0, *size)
    hit = rendered.hit.cpu().numpy()
    pose = cameras.poses[0].cpu().double().numpy()
    distance, radius = float(np.linalg.norm(pose[:3, 3])), trainer.config.model.ray_tracer.object_bounding_sphere
    farthest = trainer.config.plot.max_depth or distance + radius
    depth = depth_picture(rendered.depth.cpu().numpy(), hit, max(distance - radius, 0.0), farthest)
    normal = normal_picture(rendered.normal.cpu().numpy(), hit, pose[:3, :3])
    pair = np.concatenate([resize_picture(photograph, size), as_uint8(rendered.rgb.cpu().numpy())], axis=1)
    for name, picture in (("depth", depth), ("normal", normal), ("render", pair)):
        with whole_file(folder / f"{name}_{step}.png") as partial:
            write_picture(partial, picture)


def _shrunk(cameras: Cameras, view: int, full: tuple[int, int]) -> tuple[Cameras, tuple[int, int]]:
    """The camera of one view for a picture of no more than ``LONGEST_SIDE`` pixels, and that picture's size."""
    scale = min(1.0, LONGEST_SIDE / max(full))
    size = (max(1, round(full[0] * scale)), max(1, round(full[1] * scale)))
    camera = cameras.select([view])
    intrinsics = resize_intrinsics(camera.intrinsics.cpu().double().numpy(), full, size)
    return Cameras(torch.from_numpy(intrinsics).to(camera.intrinsics), camera.poses), size


def _mesh(trainer):
    """The low-resolution mesh in the normalised frame with its colours, or None twice."""
    config, renderer = trainer.config, trainer.renderer
    radius = config.model.ray_tracer.object_bounding_sphere
    try:
        mesh = extract_mesh(renderer.value, config.plot.resolution, radius, device=trainer.device)
    except NsrError as error:
        logger.info("step %d: no mesh is drawn: %s", trainer.clock.step, error)
        return None, None
    return mesh, vertex_colours(mesh, renderer.sdf, renderer.radiance, device=trainer.device)


def _hits(trainer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the rays of the next step hit: points ``[S, 3]``, SDF there ``[S]``, and their views ``[S]``."""
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        batch = trainer.sampler.draw(min(trainer.config.train.num_pixels, MOST_RAYS))
        origins, directions = trainer.cameras.rays(batch.views, batch.pixels)
        trace = trainer.renderer.trace(origins, directions)
    points = (origins + trace.depth.unsqueeze(1) * directions)[trace.hit]
    sdf = trainer.renderer.sdf.value(points)
    return points.cpu().numpy(), sdf.cpu().numpy(), batch.views[trace.hit].cpu().numpy()
