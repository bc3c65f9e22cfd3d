"""Photometric consistency: what a surface point's neighbourhood looks like in one view, it looks like in others."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from nsr.config.schema import PhotometricConfig
from nsr.ops.image_patches import patch_correlation
from nsr.ops.image_patches_torch import patch_offsets
from nsr.rendering.image_pyramid import ImagePyramid
from nsr.rendering.occlusion import in_sight
from nsr.rendering.patch_warp import plane_homographies
from nsr.rendering.ray_tracing import Trace
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.schedules import cosine, ramp
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.pixel_sampler import PixelBatch
from nsr.training.source_views import choose_source_views

LEVELS = 4
UNCORRELATED = 1.0  # a loss of at least this says that something else is seen, and nothing of where the surface is


class PhotometricConsistency:
    """Compares patches about traced points across views, warped by the surface's tangent plane.

    Loss of a point: mean of ``1 - NCC`` over the best few of the source views that see it (Geo-NeuS, Fu et al. 2022,
    eq. 9 to 11, with the choice of the best after Galliani et al. 2015, "Gipuma").  A source counts where the point
    faces it and the whole patch lies in its frame and its mask; of the best, those that something hides the point from
    are dropped.

    Args:
        scene: its training views alone are read.
        config: sizes and counts.
        points, normals: ``[N, 3]`` roughly on the surface, with unit normals pointing outward: sources are chosen by
            them, once.
    """

    def __init__(
        self,
        scene: Scene,
        config: PhotometricConfig,
        points: torch.Tensor,
        normals: torch.Tensor,
        device: torch.device | str = "cpu",
    ):
        self.config = config
        views = scene.train_views
        masks = [scene.masks[view] for view in views]
        self.cut(scene, device)
        cameras = scene.cameras.select(views).to(device, torch.float32)
        sources = choose_source_views(cameras, [tuple(mask.shape) for mask in masks], points, normals, config.sources)
        self.every_view = torch.arange(len(scene), device=device)
        # Tables by view of the scene; held-out views have no row and no source.
        self.row = torch.full((len(scene),), -1, dtype=torch.int64, device=device)
        self.row[torch.tensor(views, device=device)] = torch.arange(len(views), device=device)
        self.sources = torch.where(sources < 0, -1, torch.tensor(views, device=device)[sources])

    def cut(self, scene: Scene, device: torch.device | str) -> None:
        """Take the pictures, cut by the masks, of a scene of the same views and cameras."""
        images, masks = ([kind[view] for view in scene.train_views] for kind in (scene.images, scene.masks))
        self.pyramid = ImagePyramid(images, masks, LEVELS, self.config.colour, device)

    def __call__(
        self,
        rays: torch.Tensor,
        points: torch.Tensor,
        normals: torch.Tensor,
        batch: PixelBatch,
        cameras: Cameras | TrainableCameras,
        trace: Callable[[torch.Tensor, torch.Tensor], Trace],
        level: int,
    ) -> torch.Tensor:
        """The loss of one step, in [0, 1].

        Args:
            rays: ``[S]`` int64, rays of the batch that meet the surface; points: ``[S, 3]`` where they do; normals:
                ``[S, 3]`` SDF gradients there.  Differentiable in points and normals.
            batch: their pixels.
            cameras: of all views of the scene; differentiable in them where they are trained.
            trace: origins and directions to where rays meet the surface, for occlusion.
            level: of the pyramid; samples of the patch are that much farther apart.
        """
        config = self.config
        views, pixels = batch.views[rays], batch.pixels[rays].to(points.dtype)
        spacing = config.patch_spacing * 2**level
        textured, reference = self._references(views, pixels, spacing, level)
        views, pixels, points, normals = (entry[textured] for entry in (views, pixels, points, normals))
        with torch.no_grad():
            now = cameras.select(self.every_view)
        ray, source = self._pairs(views, points.detach(), normals.detach(), now)
        # Trained cameras are looked up where they are used alone: those without a gradient must stay.
        used, which = torch.cat([views[ray], source]).unique(return_inverse=True)
        pairs = which[: len(ray)], which[len(ray) :]
        homographies = plane_homographies(cameras.select(used), *pairs, points[ray], normals[ray])
        alike, counted = patch_correlation(
            self.pyramid.values, self.pyramid.frames, homographies, pixels, reference, ray, self.row[source],
            spacing, level, config.noise**2,
        )  # fmt: skip
        loss = 1 - alike
        loss, pair, chosen = self._best(loss, counted & (loss.detach() < UNCORRELATED), ray, len(views))
        if config.clearance > 0:
            pair = pair[chosen]
            at, towards = points.detach()[ray[pair]], now.centres[source[pair]]
            upright = torch.nn.functional.normalize(normals.detach()[ray[pair]], dim=1)
            chosen = chosen.index_put((chosen,), in_sight(trace, at, upright, towards, config.clearance))
        of_ray = torch.where(chosen, loss, 0).sum(1) / chosen.sum(1).clamp_min(1)
        return of_ray.sum() / chosen.any(1).sum().clamp_min(1)

    @torch.no_grad()
    def _references(self, views, pixels, spacing, level):
        """The first ``rays`` of the candidates whose patch is whole and has texture, and their patches."""
        most = min(len(views), 2 * self.config.rays)
        offsets = patch_offsets(self.config.patch_size, spacing, pixels.device).to(pixels.dtype)
        at = pixels[:most].unsqueeze(1) + offsets
        levels = torch.full((most,), level, device=pixels.device)
        values, inside = self.pyramid.sample(self.row[views[:most]], levels, at)
        spread = values.var(1, correction=0).mean(1)
        usable = inside.all(1) & (spread > self.config.noise**2)
        chosen = usable.nonzero().squeeze(1)[: self.config.rays]
        return chosen, values[chosen]

    @torch.no_grad()
    def _pairs(self, views, points, normals, cameras):
        """Rays and source views ``[Q]`` that may see the same point, ray by ray."""
        normals = torch.nn.functional.normalize(normals, dim=1)
        sources = self.sources[self.row[views]]
        ray, place = (sources >= 0).nonzero(as_tuple=True)
        source = sources[ray, place]
        towards = cameras.centres[source] - points[ray]
        facing = (torch.nn.functional.normalize(towards, dim=1) * normals[ray]).sum(1) > self.config.least_cosine
        pixel, depth = cameras.project(source, points[ray])
        finest = torch.zeros_like(source)
        _, on_object = self.pyramid.sample(self.row[source], finest, pixel.unsqueeze(1))
        kept = (facing & (depth > 0) & on_object.squeeze(1)).nonzero().squeeze(1)
        return ray[kept], source[kept]

    def _best(self, loss, counted, ray, rays):
        """The ``best`` smallest losses of each ray: ``[rays, best]`` losses, their pairs, and which of them exist."""
        number = torch.arange(len(ray), device=ray.device)
        column = number - torch.searchsorted(ray, ray)
        table = torch.full((rays, self.config.sources), math.inf, dtype=loss.dtype, device=loss.device)
        pairs = torch.zeros_like(table, dtype=torch.int64).index_put((ray, column), number)
        table = table.index_put((ray, column), torch.where(counted, loss, math.inf))
        best, place = table.topk(min(self.config.best, self.config.sources), dim=1, largest=False)
        return best, pairs.gather(1, place), best.isfinite()


def photometric_weight(config: PhotometricConfig, progress: float) -> float:
    """0 before ``start``, then ``weight`` along half a cosine down to ``weight * final`` at the end of the run."""
    if progress < config.start:
        return 0.0
    return config.weight * cosine((progress - config.start) / max(1 - config.start, 1e-9), config.final)


def patch_level(config: PhotometricConfig, progress: float) -> int:
    """Level of the pictures that patches are taken from: ``coarse_levels`` at first, 0 from ``coarse_until`` on."""
    return math.ceil(config.coarse_levels * (1 - ramp(progress, config.coarse_until)))
