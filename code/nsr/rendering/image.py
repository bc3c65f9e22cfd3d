"""Whole views: what evaluation and the pictures of a run look at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nsr.rendering.background import composite_background
from nsr.rendering.bounds import intersect_sphere
from nsr.rendering.surface import SurfaceRenderer
from nsr.scenes.cameras import Cameras

EDGE_RAYS = 4  # along the side of a pixel on an outline, where pictures are for people or for figures
DEPTH_STEP = 4.0  # pixel footprints between neighbours: one surface ends before another, or slopes steeply


@dataclass
class RenderedView:
    """One rendered view, on the renderer's device.

    Attributes:
        rgb: ``[H, W, 3]`` in [0, 1], on outlines the mean over the pixel's rays; where nothing was hit the renderer's
            background, white where it has none.
        hit: ``[H, W]`` bool, at the pixel's centre.
        depth: ``[H, W]`` distance along the centre's ray in the normalised frame, 0 where nothing was hit.
        normal: ``[H, W, 3]`` unit normal in the normalised frame, 0 where nothing was hit.
        coverage: ``[H, W]`` in [0, 1], the share of the pixel's rays that hit.
        surface_rgb: ``[H, W, 3]`` mean colour of those that did, white where none did.
    """

    rgb: torch.Tensor
    hit: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    coverage: torch.Tensor
    surface_rgb: torch.Tensor


@torch.no_grad()
def render_view(
    renderer: SurfaceRenderer,
    cameras: Cameras,
    view: int,
    height: int,
    width: int,
    chunk: int = 16384,
    edge_rays: int = 1,
) -> RenderedView:
    """Render one view, a ray through the centre of each pixel, ``chunk`` rays at a time, without gradients.

    The search for the surface takes more steps than in training, see ``RayTracer.patient``.

    Args:
        edge_rays: along a pixel's side where it lies on an outline (of it and a pixel beside it one is hit and the
            other is not, or lies much farther off): its colour and coverage are means over its area.  1: the centre's
            alone.
    """
    device = cameras.poses.device
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    pixels = torch.stack([columns, rows], dim=-1).view(-1, 2).to(cameras.poses.dtype)
    rgb, hit, depth, normal = _shade(renderer, cameras, view, pixels, chunk)
    coverage = hit.to(rgb.dtype)
    surface_rgb = torch.where(hit.unsqueeze(1), rgb, 1)
    if edge_rays > 1:
        footprints = depth / cameras.intrinsics[view, 0, 0]
        on_outline = outlines(*(picture.view(height, width) for picture in (hit, depth, footprints)))
        steps = (torch.arange(edge_rays, device=device, dtype=pixels.dtype) + 0.5) / edge_rays - 0.5
        offsets = torch.cartesian_prod(steps, steps)
        for edges in on_outline.view(-1).nonzero().squeeze(1).split(max(chunk // len(offsets), 1)):
            within = (pixels[edges].unsqueeze(1) + offsets).view(-1, 2)
            colours, hits, _, _ = _shade(renderer, cameras, view, within, chunk)
            colours, hits = colours.view(-1, len(offsets), 3), hits.view(-1, len(offsets), 1).to(rgb.dtype)
            rgb[edges], coverage[edges] = colours.mean(1), hits.mean((1, 2))
            alone = (colours * hits).sum(1) / hits.sum(1).clamp_min(1)
            surface_rgb[edges] = torch.where(hits.sum(1) > 0, alone, 1)
    shape = (height, width)
    return RenderedView(
        rgb.view(*shape, 3),
        hit.view(shape),
        depth.view(shape),
        normal.view(*shape, 3),
        coverage.view(shape),
        surface_rgb.view(*shape, 3),
    )


def _shade(
    renderer: SurfaceRenderer, cameras: Cameras, view: int, pixels: torch.Tensor, chunk: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Colour ``[N, 3]``, hit ``[N]``, depth ``[N]`` and normal ``[N, 3]`` of rays through ``pixels [N, 2]``."""
    rgb = torch.ones(len(pixels), 3, device=pixels.device)
    hit = torch.zeros(len(pixels), dtype=torch.bool, device=pixels.device)
    depth = torch.zeros(len(pixels), device=pixels.device)
    normal = torch.zeros(len(pixels), 3, device=pixels.device)
    tracer = renderer.tracer.patient()
    for start in range(0, len(pixels), chunk):
        part = pixels[start : start + chunk]
        views = torch.full((len(part),), view, device=pixels.device)
        origins, directions = cameras.rays(views, part)
        trace = renderer.trace(origins, directions, tracer=tracer)
        if renderer.background is not None:
            bounds = intersect_sphere(origins, directions, renderer.tracer.config.object_bounding_sphere)
            light = composite_background(
                renderer.background, origins, directions, bounds.far, (~trace.hit).to(origins.dtype), jitter=False
            )
            rgb[start : start + len(part)] = (light / 2).clamp(0, 1)
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
    return rgb, hit, depth, normal


def outlines(hit: torch.Tensor, depth: torch.Tensor, footprints: torch.Tensor) -> torch.Tensor:
    """Pixels ``[H, W]`` bool that differ from one of the four beside them in being hit, or lie much deeper or less.

    Args:
        hit, depth: ``[H, W]`` of the pixels' centres; footprints: ``[H, W]`` a pixel's width at that depth.
    """
    edges = torch.zeros_like(hit)
    for axis in (0, 1):
        one, other = ((slice(None),) * axis + (part,) for part in (slice(1, None), slice(None, -1)))
        gap = (depth[one] - depth[other]).abs()
        apart = (hit[one] != hit[other]) | (gap > DEPTH_STEP * torch.maximum(footprints[one], footprints[other]))
        edges[one] |= apart
        edges[other] |= apart
    return edges
