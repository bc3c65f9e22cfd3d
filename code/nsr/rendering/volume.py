"""The volume renderer: a few samples a ray in the band round the surface, composited.

It sees the same fields as the surface renderer.  Where that one has a gradient at one point of a ray, this one has it
wherever the ray may meet the surface, which finds thin parts and depths that no silhouette shows from farther away.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nsr.config.schema import VolumeConfig
from nsr.rendering.background import composite_background
from nsr.rendering.density import Density, section_weights
from nsr.rendering.samples import depths_by_weight, even_depths
from nsr.rendering.surface import SeenSurface, SurfaceRenderer

NEGLIGIBLE = 1e-3  # opacity of a ray that sees nothing


@dataclass
class CoveredBackground:
    """What opaque rays would show without the object.

    Attributes:
        rays: ``[K]`` int64, those whose opacity is above one half.
        points: ``[K, 3]`` where they see the object, without gradient.
        sdf: ``[K]`` SDF along them, mean by weight; differentiable in the SDF, not in the weights.
        rgb: ``[K, 3]`` what the background alone shows there, as ``VolumeRendering.rgb``; without gradient.
    """

    rays: torch.Tensor
    points: torch.Tensor
    sdf: torch.Tensor
    rgb: torch.Tensor


@dataclass
class VolumeRendering:
    """What one training step of the volume stage sees of N rays.

    Attributes:
        hit: ``[N]`` bool, rays whose opacity is above one half.
        surface: ``[S]`` int64, the rays that were shaded.
        rgb: ``[S, 3]`` composited over the background where there is one, else over black (-1; white is 1, and the
            fields' ``colour_margin`` lies beyond).
        opacity: ``[N]`` in [0, 1], accumulated along the ray.
        gradients: ``[G, 3]`` SDF gradients for the eikonal term: at the samples and at ``free_points``.
        free_sdf: ``[E]`` SDF at ``free_points``.
        rays: ``[R]`` int64, the rays that were sampled; depths, weights: ``[R, M]`` of their samples, whose gradients
            come first in ``gradients``, ray by ray.
        covered: what is behind the object; None where there is no background, or nobody asks (``volume.carving``).
    """

    hit: torch.Tensor
    surface: torch.Tensor
    rgb: torch.Tensor
    opacity: torch.Tensor
    gradients: torch.Tensor
    free_sdf: torch.Tensor
    rays: torch.Tensor
    depths: torch.Tensor
    weights: torch.Tensor
    covered: CoveredBackground | None = None

    def seen_surface(self, origins: torch.Tensor, directions: torch.Tensor) -> SeenSurface:
        """Mean depth and direction of the normals along the sampled rays that see something, weighted as their colours
        are; arguments as of ``SurfaceRendering.seen_surface``."""
        opaque = (self.weights.detach().sum(1) > 0.5).nonzero().squeeze(1)
        weights = self.weights[opaque]
        depth = (weights * self.depths[opaque]).sum(1) / weights.sum(1)
        gradients = self.gradients[: self.weights.numel()].view(*self.weights.shape, 3)[opaque]
        normals = torch.nn.functional.normalize((weights.unsqueeze(2) * gradients).sum(1), dim=1)
        return SeenSurface(self.rays[opaque], depth, normals)


class VolumeRenderer(torch.nn.Module):
    """Composites samples of the fields of a surface renderer.

    Args:
        surface: whose fields, bounds and background are seen.
        config: opacity model and numbers of samples.
    """

    def __init__(self, surface: SurfaceRenderer, config: VolumeConfig):
        super().__init__()
        self.surface = surface
        self.density = Density(config)
        self.coarse_sections = config.coarse_samples
        self.sections = config.samples - 1
        self.looks_behind = config.carving > 0

    def forward(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        object_mask: torch.Tensor,
        free_points: torch.Tensor,
    ) -> VolumeRendering:
        """Render for training.

        The even samples that find the band are evaluated without gradient.  Rays outside the mask that pass no
        density are not sampled further.

        Args:
            origins, directions: ``[N, 3]``; may carry gradients of the cameras.
            object_mask: ``[N]`` bool, the rays inside the object's mask; without a background only these are shaded.
            free_points: ``[E, 3]`` extra points for the eikonal term.

        Returns:
            differentiable in the parameters of fields, density and background, and in the cameras.
        """
        background = self.surface.background
        rays, depths, far = self._band(origins, directions, object_mask if background is None else None)
        points = origins[rays].unsqueeze(1) + depths.unsqueeze(2) * directions[rays].unsqueeze(1)
        count, samples = depths.shape
        sdf, gradients, features = self.surface.sdf.geometry(torch.cat([points.reshape(-1, 3), free_points]))
        sampled = count * samples
        weights = section_weights(self.density.opacity(sdf[:sampled].view(count, samples), depths))
        opacity = origins.new_zeros(len(origins)).index_put((rays,), weights.sum(1))
        # Trapezoids: a section sends the mean of the colours at its two ends.
        at_samples = (torch.nn.functional.pad(weights, (1, 0)) + torch.nn.functional.pad(weights, (0, 1))) / 2
        shaded = torch.ones_like(rays, dtype=torch.bool) if background is not None else object_mask[rays]
        seen = (shaded.unsqueeze(1) & (at_samples.detach() > NEGLIGIBLE)).view(-1).nonzero().squeeze(1)
        owner = seen // samples
        colours = self.surface.radiance(
            points.view(-1, 3)[seen], directions[rays[owner]], gradients[:sampled][seen], features[:sampled][seen]
        )
        light = at_samples.view(-1)[seen].unsqueeze(1) * (colours + 1)
        light = torch.zeros_like(origins).index_add(0, rays[owner], light)
        covered = None
        if background is None:
            surface = rays[shaded]
            rgb = light[surface] - 1
        else:
            surface = torch.arange(len(origins), device=origins.device)
            rgb = light - 1 + composite_background(background, origins, directions, far, 1 - opacity)
            if self.looks_behind:
                along = sdf[:sampled].view(count, samples)
                covered = self._look_behind(origins, directions, far, rays, depths, at_samples.detach(), along)
        return VolumeRendering(
            opacity.detach() > 0.5, surface, rgb, opacity, gradients, sdf[sampled:], rays, depths, at_samples, covered
        )

    def _look_behind(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        far: torch.Tensor,
        rays: torch.Tensor,
        depths: torch.Tensor,
        weights: torch.Tensor,
        sdf: torch.Tensor,
    ) -> CoveredBackground:
        """The background behind those of ``rays [R]`` that are opaque; depths, weights, sdf: ``[R, M]`` along them."""
        opaque = (weights.sum(1) > 0.5).nonzero().squeeze(1)
        rays, weights = rays[opaque], weights[opaque]
        weights = weights / weights.sum(1, keepdim=True)
        with torch.no_grad():
            start, towards, leaves = origins[rays], directions[rays], far[rays]
            points = start + (weights * depths[opaque]).sum(1, keepdim=True) * towards
            light = composite_background(self.surface.background, start, towards, leaves, torch.ones_like(leaves))
        return CoveredBackground(rays, points, (weights * sdf[opaque]).sum(1), light - 1)

    @torch.no_grad()
    def _band(
        self, origins: torch.Tensor, directions: torch.Tensor, object_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The rays to sample ``[R]``, depths ``[R, M + 1]`` in the band of their weight, and where all rays leave the
        bounds ``[N]``."""
        tracer = self.surface.tracer
        bounds = tracer.bounds(origins, directions, tracer.config.object_bounding_sphere)
        rays = bounds.meets.nonzero().squeeze(1)
        depths = even_depths(bounds.near[rays], bounds.far[rays], self.coarse_sections)
        points = origins[rays].unsqueeze(1) + depths.unsqueeze(2) * directions[rays].unsqueeze(1)
        sdf = self.surface.sdf.value(points.reshape(-1, 3)).view(depths.shape)
        weights = section_weights(self.density.opacity(sdf, depths))
        wanted = weights.sum(1) > NEGLIGIBLE
        if object_mask is not None:
            wanted = wanted | object_mask[rays]
        chosen = wanted.nonzero().squeeze(1)
        return rays[chosen], depths_by_weight(depths[chosen], weights[chosen], self.sections), bounds.far
