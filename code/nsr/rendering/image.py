"""Whole views: what evaluation and the pictures of a run look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nsr.rendering.background import composite_background
from nsr.rendering.bounds import intersect_sphere
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras


@dataclass
class RenderedView:
    """One rendered view, on the renderer's device.

    Attributes:
        rgb: ``[H, W, 3]`` in [0, 1]; where nothing was hit the renderer's background, white where it has none.
        hit: ``[H, W]`` bool.
        depth: ``[H, W]`` distance along the ray in the normalised frame, 0 where nothing was hit.
        normal: ``[H, W, 3]`` unit normal in the normalised frame, 0 where nothing was hit.
    """

    rgb: torch.Tensor
    hit: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor


@torch.no_grad()
def render_view(
    renderer: SurfaceRenderer, cameras: Cameras, view: int, height: int, width: int, chunk: int = 16384
) -> RenderedView:
    """Render one view at the centres of all its pixels, ``chunk`` rays at a time, without gradients.

    The search for the surface takes more steps than in training, see ``RayTracer.patient``.
    """
    device = cameras.poses.device
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    pixels = torch.stack([columns, rows], dim=-1).view(-1, 2)
    rgb = torch.ones(len(pixels), 3, device=device)
    hit = torch.zeros(len(pixels), dtype=torch.bool, device=device)
    depth = torch.zeros(len(pixels), device=device)
    normal = torch.zeros(len(pixels), 3, device=device)
    tracer = renderer.tracer.patient()
    for start in range(0, len(pixels), chunk):
        part = pixels[start : start + chunk].to(cameras.poses.dtype)
        views = torch.full((len(part),), view, device=device)
        origins, directions = cameras.rays(views, part)
        trace = renderer.trace(origins, directions, tracer=tracer)
        if renderer.background is not None:
            bounds = intersect_sphere(origins, directions, renderer.tracer.config.object_bounding_sphere)
            light = composite_background(
                renderer.background, origins, directions, bounds.far, (~trace.hit).to(origins.dtype), jitter=False
            )
            rgb[start : start + len(part)] = light / 2
        found = trace.hit.nonzero().squeeze(1)
        if len(found) == 0:
            continue
        points = origins[found] + trace.depth[found].unsqueeze(1) * directions[found]
        _, gradients, features = renderer.sdf.geometry(points)
        colours = renderer.radiance(points, directions[found], gradients, features)
        target = start + found
        rgb[target] = ((colours + 1) / 2).clamp(0, 1)
        hit[target] = True
        depth[target] = trace.depth[found]
        normal[target] = torch.nn.functional.normalize(gradients, dim=-1)
    shape = (height, width)
    return RenderedView(rgb.view(*shape, 3), hit.view(shape), depth.view(shape), normal.view(*shape, 3))
