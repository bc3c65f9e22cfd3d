"""Priors in a run: what a step looks up of them, and the loss terms that compare it with the rendering."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch

from nsr.config.schema import Config, PriorTermConfig
from nsr.errors import ConfigError
from nsr.fields.radiance import SHADING_MODE
from nsr.priors import losses
from nsr.priors.conversion import harmonics_at
from nsr.priors.cross_view import gate_by_neighbours
from nsr.priors.loading import load_bundles
from nsr.priors.prior_set import PriorBatch, PriorSamples, PriorSet
from nsr.priors.within_view import gate_within_view
from nsr.rendering.surface import SurfaceRendering
from nsr.scenes.scene import Scene
from nsr.schedules import ramp
from nsr.training.camera_optimisation import TrainableCameras
from nsr.training.losses import LossInputs, LossTerm
from nsr.training.pixel_sampler import PixelBatch

# The terms, and the kind of map that each needs.
TERMS = {
    "depth": "depth",
    "depth_affine": "depth",
    "normal": "normal",
    "surface": "depth",
    "free_space": "depth",
    "albedo": "albedo",
    "shading": "shading",
}

logger = logging.getLogger("nsr")


class PriorTerms:
    """The prior terms of a conf that have a weight, for one scene.

    Args:
        config: at least one term of its priors has a weight.
        scene: its training views alone are looked at; device: of the run.

    Attributes:
        terms: ``prior_depth`` and so on; each divides by all rays of the batch (or all points that it drew), so that a
            ray without a prior counts as one without an error.
        volume_terms: those that the volume stage has, too, which does not take colours apart.

    Raises:
        PriorError: there are no usable bundles.
        ConfigError: albedo has a weight, and the radiance field has none.
    """

    def __init__(self, config: Config, scene: Scene, device: torch.device):
        mode, config = config.model.rendering_network.mode, config.priors
        if config.albedo.weight > 0 and mode != SHADING_MODE:
            raise ConfigError(
                f"priors.albedo needs model.rendering_network.mode = {SHADING_MODE}, which alone has an albedo; the "
                f"mode is {mode}"
            )
        self.config = config
        weighted = [name for name in TERMS if getattr(config, name).weight > 0]
        bundles = load_bundles(scene, config.folder, scene.train_views)
        if config.within_view:
            tolerances = config.depth_tolerance, config.normal_tolerance, config.colour_tolerance
            bundles = {
                view: gate_within_view(bundle, scene.cameras, view, scene.images[view], *tolerances)
                for view, bundle in bundles.items()
            }
        if config.neighbours > 0:
            bundles = gate_by_neighbours(
                bundles, scene.cameras, scene.masks, config.neighbours, config.depth_tolerance, config.normal_tolerance
            )
        self.priors = PriorSet(scene, bundles, {TERMS[name] for name in weighted}, device)
        self.views = len(scene)
        self.terms: list[LossTerm] = []
        for name in weighted:
            if not self._has_what_it_takes(name):
                logger.warning("priors.%s has a weight, but no bundle has what it is about", name)
                continue
            term: PriorTermConfig = getattr(config, name)
            schedule = _schedule(term, share_of_say(config.few_views, len(scene.train_views)))
            self.terms.append(LossTerm(f"prior_{name}", schedule, getattr(self, f"_{name}")))
        self.volume_terms = [term for term in self.terms if term.name != "prior_albedo"]

    @classmethod
    def of_config(cls, config: Config, scene: Scene, device: torch.device) -> PriorTerms | None:
        """None where no term has a weight; nothing is read then."""
        weighted = any(getattr(config.priors, name).weight > 0 for name in TERMS)
        return cls(config, scene, device) if weighted else None

    def draw(
        self,
        batch: PixelBatch,
        origins: torch.Tensor,
        directions: torch.Tensor,
        start: int,
        progress: float,
        cameras: TrainableCameras | None = None,
    ) -> PriorBatch:
        """The priors of the rays ``[N, 3]`` of ``batch``, and the points, behind ``start`` others, at which the SDF is
        asked for; ``cameras`` are those of the rays, where they are trained."""
        poses = cameras.poses_of(batch.views) if cameras is not None else None
        samples = self.priors.sample(batch.views, batch.pixels, poses)
        points, weights = [origins[:0]], [origins[:0, 0]]
        for term in self.terms:
            if term.name in ("prior_surface", "prior_free_space") and term.weight(progress) > 0:
                drawn = self._draw_points(term.name == "prior_surface", samples, batch.mask, origins, directions)
                points.append(drawn[0])
                weights.append(drawn[1])
        return PriorBatch(origins, directions, samples, torch.cat(points), torch.cat(weights), start)

    def _has_what_it_takes(self, name: str) -> bool:
        if TERMS[name] != "depth":
            return TERMS[name] in self.priors.kinds
        wanted = self.priors.has_affine_depth if name == "depth_affine" else self.priors.has_metric_depth
        return "depth" in self.priors.kinds and wanted

    def _draw_points(
        self,
        on_surface: bool,
        samples: PriorSamples,
        mask: torch.Tensor,
        origins: torch.Tensor,
        directions: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Points of rays drawn by their confidence, so that their plain mean is the mean by confidence: the prior's,
        or ones before it.  Those outside the unit sphere, where there is no field, weigh nothing."""
        term = self.config.surface if on_surface else self.config.free_space
        confidence = _gated(samples.depth_confidence, term.gate) * (~samples.affine & mask)
        # A ray without any prior may be drawn where none has one; the mean confidence is 0 then.
        rays = torch.multinomial(confidence + 1e-12, self.config.rays, replacement=True)
        length = samples.depth[rays]
        if not on_surface:
            # Denser towards the prior's point, where a surface that is too near mostly lies.
            share = 1 - torch.rand_like(length) ** 2
            length = _between(origins[rays], directions[rays], length - self.config.clearance, share)
        points = origins[rays] + length.unsqueeze(1) * directions[rays]
        inside = points.detach().norm(dim=1) < 1
        return points, inside * confidence.mean()

    # --- the terms, each a mean over all rays ------------------------------------------------------------------------

    def _depth(self, inputs: LossInputs) -> torch.Tensor:
        """Huber's function of the ray length's error."""
        seen, samples = inputs.seen, inputs.prior.samples
        weights = _weights(inputs, samples.depth_confidence * ~samples.affine, self.config.depth)
        return (weights * losses.huber(seen.depth - samples.depth[seen.rays], self.config.huber)).sum() / _count(inputs)

    def _depth_affine(self, inputs: LossInputs) -> torch.Tensor:
        """Huber's function of the depth's error after the view's best scale and shift."""
        seen, samples = inputs.seen, inputs.prior.samples
        weights = _weights(inputs, samples.depth_confidence * samples.affine, self.config.depth_affine)
        view, prior = inputs.batch.views[seen.rays], samples.depth[seen.rays]
        depth = seen.depth * samples.measure_per_length[seen.rays]
        scale, shift, determined = losses.affine_fit(prior, depth.detach(), weights, view, self.views)
        error = depth - (scale[view] * prior + shift[view])
        return (weights * determined[view] * losses.huber(error, self.config.huber)).sum() / _count(inputs)

    def _normal(self, inputs: LossInputs) -> torch.Tensor:
        seen, samples = inputs.seen, inputs.prior.samples
        weights = _weights(inputs, samples.normal_confidence, self.config.normal)
        difference = losses.normal_angle if self.config.angular else losses.normal_difference
        return (weights * difference(seen.normals, samples.normal[seen.rays])).sum() / _count(inputs)

    def _surface(self, inputs: LossInputs) -> torch.Tensor:
        """The SDF at the priors' own points."""
        sdf, weights = _point_sdf(inputs, slice(0, self.config.rays))
        return (weights * losses.bounded(sdf, self.config.reach)).mean()

    def _free_space(self, inputs: LossInputs) -> torch.Tensor:
        """How negative the SDF is before the priors' points."""
        sdf, weights = _point_sdf(inputs, slice(-self.config.rays, None))
        return (weights * losses.behind_surface(sdf)).mean()

    def _albedo(self, inputs: LossInputs) -> torch.Tensor:
        samples = inputs.prior.samples
        weights = _weights(inputs, samples.albedo_confidence, self.config.albedo)
        return self._ratios(inputs, inputs.rendering.decomposition.albedo, samples.albedo, weights)

    def _shading(self, inputs: LossInputs) -> torch.Tensor:
        """What the prior's own light gives to the rendered normals against the prior's shading: the shape that the
        shading shows.  The light of the radiance field, where it has one, is told the shading besides."""
        seen, samples, confidence = inputs.seen, inputs.prior.samples, inputs.prior.samples.shading_confidence
        normals = seen.normals
        if samples.light_turn is not None:
            normals = (normals.unsqueeze(1) @ samples.light_turn[seen.rays]).squeeze(1)
        lit = (harmonics_at(normals).unsqueeze(1) @ samples.harmonics[seen.rays]).squeeze(1)
        weights = _weights(inputs, confidence * samples.has_light, self.config.shading)
        term = self._ratios(inputs, lit, samples.shading, weights)
        if isinstance(inputs.rendering, SurfaceRendering) and inputs.rendering.decomposition is not None:
            weights = _weights(inputs, confidence, self.config.shading)
            term = term + self._ratios(inputs, inputs.rendering.decomposition.shading, samples.shading, weights)
        return term

    def _ratios(
        self, inputs: LossInputs, colours: torch.Tensor, prior: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Of colours ``[S, 3]`` of the seen rays, and a prior of all rays that is known up to a colour of the view."""
        rays = inputs.seen.rays
        view = inputs.batch.views[rays]
        return (weights * losses.log_difference(colours, prior[rays], weights, view, self.views)).sum() / _count(inputs)


def _weights(inputs: LossInputs, confidence: torch.Tensor, term: PriorTermConfig) -> torch.Tensor:
    """``[S]``, by which the seen rays count: their confidence, if it passes the gate, on the object."""
    return (_gated(confidence, term.gate) * inputs.batch.mask)[inputs.seen.rays]


def _gated(confidence: torch.Tensor, gate: float) -> torch.Tensor:
    return torch.where(confidence >= gate, confidence, 0.0)


def _count(inputs: LossInputs) -> int:
    return len(inputs.batch.mask)


def _point_sdf(inputs: LossInputs, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """SDF and weights of a part of the prior's points."""
    prior = inputs.prior
    sdf = inputs.rendering.free_sdf[prior.start : prior.start + len(prior.points)]
    return sdf[part], prior.point_weights[part]


def _between(
    origins: torch.Tensor, directions: torch.Tensor, last: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    """Ray lengths ``[M]``, the part ``share`` of the way from the entry into the unit sphere to ``last``; constants."""
    along = -(origins * directions).sum(1)
    entry = along - (along**2 - origins.square().sum(1) + 1).clamp_min(0).sqrt()
    entry = entry.clamp_min(0)
    return (entry + share * (last - entry)).detach()


def share_of_say(few: int, views: int) -> float:
    """What part of their weights priors have among ``views`` training views: all up to ``few`` of them, then less with
    the square of their number, as there are pairs of views that show where the surface is; 1 where ``few`` is 0."""
    return min(1.0, few / views) ** 2 if few > 0 else 1.0


def _schedule(term: PriorTermConfig, share: float) -> Callable[[float], float]:
    """The term's weight over the run."""
    return lambda progress: share * term.weight * ramp(progress, term.warm_up) * math.exp(-term.decay * progress)
