"""The surface renderer: one differentiable point a ray, and the colour there (IDR, section 3)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from nsr.fields.background import BackgroundField
from nsr.fields.radiance import ColourField
from nsr.fields.sdf import SDFField
from nsr.fields.shading import Decomposition, ShadingField
from nsr.rendering.bounds import HullBounds
from nsr.rendering.intersection import differentiable_intersection, displacement
from nsr.rendering.ray_tracing import RayTracer, Trace


@dataclass
class SeenSurface:
    """Where S of the rendered rays meet the surface.

    Attributes:
        rays: ``[S]`` int64; depth: ``[S]`` length of the ray; normals: ``[S, 3]`` unit, outward.  Both are
            differentiable in the parameters (and cameras).
    """

    rays: torch.Tensor
    depth: torch.Tensor
    normals: torch.Tensor


@dataclass
class SurfaceRendering:
    """What one training step sees of N rays.

    Attributes:
        hit: ``[N]`` bool, rays that meet the surface.
        surface: ``[S]`` int64, the rays that were shaded (hit, and inside the object mask).
        rgb: ``[S, 3]`` colours of those rays, black -1 and white 1, or beyond by the fields' ``colour_margin``.
        points: ``[N, 3]`` traced points (constants): the surface, or the point of smallest SDF along the ray.
        sdf: ``[N]`` SDF at ``points``, with its graph in the parameters (and cameras).
        gradients: ``[G, 3]`` SDF gradients for the eikonal term: at the traced points and at ``free_points``.
        free_sdf: ``[E]`` SDF at ``free_points``.
        roughness: ``[S]`` squared difference of the SDF gradients at a shaded point and at a random neighbour of it;
            empty where no neighbours were asked for.
        surface_points: ``[S, 3]`` where the shaded rays meet the surface, differentiable in parameters (and cameras).
        decomposition: of ``rgb`` into albedo, shading and residue, where the radiance field tells them apart.
    """

    hit: torch.Tensor
    surface: torch.Tensor
    rgb: torch.Tensor
    points: torch.Tensor
    sdf: torch.Tensor
    gradients: torch.Tensor
    free_sdf: torch.Tensor
    roughness: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    surface_points: torch.Tensor = field(default_factory=lambda: torch.empty(0, 3))
    decomposition: Decomposition | None = None

    def seen_surface(self, origins: torch.Tensor, directions: torch.Tensor) -> SeenSurface:
        """What the shaded rays see; ``origins, directions [N, 3]`` are those that were rendered."""
        rays = self.surface
        depth = ((self.surface_points - origins[rays]) * directions[rays]).sum(1)
        return SeenSurface(rays, depth, torch.nn.functional.normalize(self.gradients[rays], dim=1))


class SurfaceRenderer(torch.nn.Module):
    """Traces rays to the zero set of an SDF field and shades the points with a radiance field.

    Attributes:
        background: what lies outside the bounding sphere, in runs without masks; ``render_view`` shows it where a ray
            misses the surface.
    """

    def __init__(
        self, sdf: SDFField, radiance: ColourField, tracer: RayTracer, background: BackgroundField | None = None
    ):
        super().__init__()
        self.sdf = sdf
        self.radiance = radiance
        self.tracer = tracer
        self.background = background
        self.bounds: HullBounds | None = None

    def set_bounds(self, bounds: HullBounds) -> None:
        """Search rays only inside ``bounds``, and let nothing outside of them be surface."""
        self.bounds = bounds
        self.tracer.bounds = bounds

    def value(self, x: torch.Tensor) -> torch.Tensor:
        """Signed value ``[N]`` at ``x [N, 3]`` of the surface as it is seen: the SDF, cut by the bounds."""
        sdf = self.sdf.value(x)
        return sdf if self.bounds is None else torch.maximum(sdf, self.bounds.value(x))

    def trace(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        object_mask: torch.Tensor | None = None,
        tracer: RayTracer | None = None,
    ) -> Trace:
        """Where rays meet the surface, without gradients; see ``RayTracer.trace``.

        Args:
            tracer: another than the renderer's own.
        """
        network = self.sdf.grid_network() if isinstance(self.sdf, SDFField) else None
        return (tracer or self.tracer).trace(self.sdf.value, origins, directions, object_mask, network)

    def intersect(
        self, origins: torch.Tensor, directions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The rays ``[S]`` int64 that meet the surface, where ``[S, 3]``, and the SDF's gradients there ``[S, 3]``.

        Args:
            origins, directions: ``[N, 3]``; points are differentiable in them and in the parameters, gradients in the
                parameters at a fixed point.
        """
        trace = self.trace(origins.detach(), directions.detach())
        rays = trace.hit.nonzero().squeeze(1)
        origins, directions, depth = origins[rays], directions[rays], trace.depth[rays]
        sdf, gradients, _ = self.sdf.geometry(origins + depth.unsqueeze(1) * directions)
        moved = displacement(directions, sdf, gradients, self.tracer.config.minimum_cosine)
        return rays, differentiable_intersection(origins, directions, depth, moved), gradients

    def forward(
        self,
        origins: torch.Tensor,
        directions: torch.Tensor,
        object_mask: torch.Tensor,
        free_points: torch.Tensor,
        neighbour_distance: float = 0.0,
    ) -> SurfaceRendering:
        """Render for training.

        The field is evaluated once a point, at what was traced.  That the colour sees normal and feature at IDR's
        differentiable point, which moves along the ray with the field, is the product of this displacement and
        their derivatives along the ray: exact to first order, and the eikonal term stays at the traced point.

        Args:
            origins, directions: ``[N, 3]``; may carry gradients of the cameras.
            object_mask: ``[N]`` bool, the rays inside the object's mask.
            free_points: ``[E, 3]`` extra points for the eikonal term.
            neighbour_distance: standard deviation of the neighbours that ``roughness`` looks at; 0: none, and
                ``roughness`` is empty.
        """
        trace = self.trace(origins.detach(), directions.detach(), object_mask)
        points = origins + trace.depth.unsqueeze(1) * directions
        count, free = len(origins), len(free_points)
        surface = (trace.hit & object_mask).nonzero().squeeze(1)
        around = points[surface].detach() if neighbour_distance > 0 else points[:0].detach()
        around = around + neighbour_distance * torch.randn_like(around)
        seen = directions[surface]
        field = self.sdf.surface_geometry(torch.cat([points, free_points, around]), surface, seen.detach())
        sdf, gradients = field.sdf, field.gradient
        moved = displacement(seen, sdf[surface], gradients[surface], self.tracer.config.minimum_cosine)
        surface_points = differentiable_intersection(origins[surface], seen, trace.depth[surface], moved)
        shaded = (
            surface_points,
            seen,
            gradients[surface] + moved.unsqueeze(1) * field.gradient_along,
            field.feature + moved.unsqueeze(1) * field.feature_along,
        )
        decomposition = self.radiance.decompose(*shaded) if isinstance(self.radiance, ShadingField) else None
        rgb = self.radiance(*shaded) if decomposition is None else decomposition.rgb
        roughness = (gradients[surface[: len(around)]] - gradients[count + free :]).square().sum(1)
        return SurfaceRendering(
            trace.hit,
            surface,
            rgb,
            points.detach(),
            sdf[:count],
            gradients[: count + free],
            sdf[count : count + free],
            roughness,
            surface_points,
            decomposition,
        )

    def shade(self, points: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
        """Colour ``[N, 3]`` of points on the surface seen along unit directions, black -1 and white 1, or beyond by
        the radiance field's ``colour_margin``; differentiable in both."""
        _, normals, features = self.sdf.geometry(points)
        return self.radiance(points, directions, normals, features)

    def set_progress(self, progress: float) -> None:
        """Open the encodings' levels, coarse to fine: 0 to 1; reflected directions come in with them."""
        self.sdf.set_progress(progress)
        self.radiance.set_progress(progress)

    @property
    def view_dependent(self) -> bool:
        """Whether colours, the background's too, may differ with the direction of view."""
        return self.radiance.view_dependent

    @view_dependent.setter
    def view_dependent(self, value: bool) -> None:
        self.radiance.view_dependent = value
        if self.background is not None:
            self.background.view_dependent = value

    @property
    def reflects(self) -> bool:
        """Whether colours may differ with the reflected direction of view, in fields that look at it."""
        return self.radiance.reflects

    @reflects.setter
    def reflects(self, value: bool) -> None:
        self.radiance.reflects = value
