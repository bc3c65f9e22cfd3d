"""Views of a surface under a light: antialiased image, and the exact quantities behind it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nsr.scenes.cameras import Cameras
from nsr.scenes.synthetic.light import Light
from nsr.scenes.synthetic.surfaces import Hits, Surface, Visible

_RAYS = 1 << 18  # at once
_SHADOW_START = 1e-3  # of a shadow ray above the surface, normalised units


@dataclass
class Material:
    """Highlights of the object: their strength and exponent (its albedo comes with the surface)."""

    specular: float
    shininess: float


@dataclass
class View:
    """One rendered view, all ``[H, W]`` or ``[H, W, 3]`` float32.

    Attributes:
        image: linear radiance in [0, 1].
        coverage: fraction of the pixel's rays that meet the object.
        albedo, shading, specular: means over the pixel's rays that meet something, shading weighted by albedo, so that
            ``image = seen * (albedo * shading + specular) + (1 - seen) * background`` (before the cut at 1) holds
            in every pixel, where ``seen`` is the coverage, or 1 in a room.
        depth: along the optical axis (z), of the pixel's central ray, normalised units; 0 where that ray meets nothing.
        normal: unit, outward, normalised frame (which is turned as the world is), of the same ray; 0 likewise.
    """

    image: Tensor
    coverage: Tensor
    albedo: Tensor
    shading: Tensor
    specular: Tensor
    depth: Tensor
    normal: Tensor


@dataclass
class Renderer:
    """Draws a surface, in a room where there is one.

    Attributes:
        surface: the object.
        light, material: what it is lit by, and how it shines.
        background: grey behind the object where there is no room.
        supersampling: rays along a pixel's side.
        room: what is round everything, matt, or None.
    """

    surface: Surface
    light: Light
    material: Material
    background: float = 1.0
    supersampling: int = 2
    room: Visible | None = None

    def render(self, cameras: Cameras, view: int, height: int, width: int) -> View:
        """The view of camera ``view`` of ``cameras``, ``height`` x ``width`` pixels."""
        pose = cameras.poses[view].float()
        to_ray = (cameras.poses[view, :3, :3] @ torch.linalg.inv(cameras.intrinsics[view])).float()
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([u, v, torch.ones_like(u)], dim=-1).reshape(-1, 3).float()

        parts = [
            self._pixels(pose, chunk @ to_ray.T, to_ray) for chunk in pixels.split(_RAYS // self.supersampling**2)
        ]
        columns = [
            torch.cat(column).reshape(height, width, *column[0].shape[1:]) for column in zip(*parts, strict=True)
        ]
        return View(*columns)

    def _pixels(self, pose: Tensor, central: Tensor, to_ray: Tensor) -> tuple[Tensor, ...]:
        """The quantities of ``View``, of pixels whose unnormalised central directions are ``central [P, 3]``."""
        pixel_count, samples = len(central), self.supersampling**2
        depth, normal = self._central(pose, central)

        offsets = (torch.arange(self.supersampling) + 0.5) / self.supersampling - 0.5
        shift = torch.cartesian_prod(offsets, offsets) @ to_ray[:, :2].T
        directions = torch.nn.functional.normalize((central.unsqueeze(1) + shift).reshape(-1, 3), dim=-1)
        origins = pose[:3, 3].expand_as(directions)

        def sums(values: Tensor, hits: Hits) -> Tensor:
            """Sum over each pixel's rays."""
            total = torch.zeros(pixel_count, *values.shape[1:])
            return total.index_add_(0, torch.div(hits.rays, samples, rounding_mode="floor"), values)

        hits = self.surface.first_hit(origins, directions)
        coverage = sums(torch.ones_like(hits.distances), hits) / samples
        albedo, diffuse, specular = self._shade(hits, origins, directions, self.material)
        albedo, diffuse, specular = sums(albedo, hits), sums(diffuse, hits), sums(specular, hits)
        seen = coverage
        if self.room is not None:
            free = torch.ones(len(directions), dtype=torch.bool)
            free[hits.rays] = False
            free = torch.nonzero(free).squeeze(-1)
            walls = self.room.first_hit(origins[free], directions[free])
            walls.rays = free[walls.rays]
            wall_albedo, wall_diffuse, _ = self._shade(walls, origins, directions, Material(0.0, 1.0))
            albedo, diffuse = albedo + sums(wall_albedo, walls), diffuse + sums(wall_diffuse, walls)
            seen = torch.ones_like(coverage)

        image = (diffuse + specular) / samples + (1 - seen).unsqueeze(-1) * self.background
        shading = diffuse / albedo.clamp(min=1e-6)
        count = (seen * samples).clamp(min=1).unsqueeze(-1)
        return image.clamp(0, 1), coverage, albedo / count, shading, specular / count, depth, normal

    def _central(self, pose: Tensor, central: Tensor) -> tuple[Tensor, Tensor]:
        """Depth ``[P]`` and normal ``[P, 3]`` along the central rays."""
        length = central.norm(dim=-1)
        directions = central / length.unsqueeze(-1)
        origins = pose[:3, 3].expand_as(directions)
        depth, normal = torch.zeros(len(central)), torch.zeros(len(central), 3)
        for surface in (self.room, self.surface):
            if surface is not None:
                hits = surface.first_hit(origins, directions)
                # The unnormalised directions advance by 1 along the optical axis.
                depth[hits.rays] = hits.distances / length[hits.rays]
                normal[hits.rays] = hits.normals
        return depth, normal

    def _shade(
        self, hits: Hits, origins: Tensor, directions: Tensor, material: Material
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Albedo, diffuse radiance (albedo x shading) and highlight, ``[M, 3]`` each."""
        to_eye = -directions[hits.rays]
        shading = self.light.ambient(hits.normals)
        specular = torch.zeros_like(shading)
        for index, position in enumerate(self.light.positions):
            diffuse, highlight = self.light.point(index, hits.points, hits.normals, to_eye, material.shininess)
            if self.light.shadows:
                facing = torch.nonzero(diffuse[:, 0] > 0).squeeze(-1)
                start = hits.points[facing] + _SHADOW_START * hits.normals[facing]
                blocked = self.surface.is_blocked(start, torch.nn.functional.normalize(position - start, dim=-1))
                diffuse[facing[blocked]] = 0
                highlight[facing[blocked]] = 0
            shading = shading + diffuse
            specular = specular + material.specular * highlight
        return hits.albedo, hits.albedo * shading, specular
