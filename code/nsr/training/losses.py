"""Loss terms: each a name, a weight over the run, and a function of (rendering, batch)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.fields.radiance import SHADING_MODE
from nsr.fields.sdf import SDFField
from nsr.priors.prior_set import PriorBatch
from nsr.rendering.surface import SeenSurface, SurfaceRendering
from nsr.rendering.volume import VolumeRendering
from nsr.training.fine_levels import stencil
from nsr.training.pixel_sampler import PixelBatch
from nsr.schedules import cosine, milestones


@dataclass
class LossInputs:
    """What a term may look at.

    Attributes:
        rendering: of the batch; batch: pixels and their photographs.
        alpha: sharpness of the mask loss at this point of the run.
        free_bound: ``[E]`` lower bound of the SDF at the free points (what the masks prove), or None.
        field: the SDF field, for terms that look at more of it than was rendered; free_points: ``[E, 3]``.
        stencil_step: of central differences, in units of the normalised frame.
        fine_points: how many shaded points (and free points) such terms look at.
        prior: what is known of the rays beyond their pixels, in runs with priors.
    """

    rendering: SurfaceRendering | VolumeRendering
    batch: PixelBatch
    alpha: float
    free_bound: torch.Tensor | None = None
    field: SDFField | None = None
    free_points: torch.Tensor | None = None
    stencil_step: float = 0.0
    fine_points: int = 256
    prior: PriorBatch | None = None

    @functools.cached_property
    def seen(self) -> SeenSurface:
        """Where the rays of a run with priors see the surface."""
        return self.rendering.seen_surface(self.prior.origins, self.prior.directions)

    @property
    def surface_points(self) -> torch.Tensor:
        """``[P, 3]`` shaded points, constants; rays come in random order, so the first are as good as any."""
        rendering = self.rendering
        return rendering.points[rendering.surface[: self.fine_points]]


@dataclass
class LossTerm:
    """One named term; ``weight`` maps the progress of the run to its weight."""

    name: str
    weight: Callable[[float], float]
    function: Callable[[LossInputs], torch.Tensor]


def rgb_l1(inputs: LossInputs) -> torch.Tensor:
    """L1 of the shaded rays, summed over channels and weighed, divided by **all** rays of the batch (IDR, eq. 5)."""
    rendering, batch = inputs.rendering, inputs.batch
    error = (rendering.rgb - batch.rgb[rendering.surface]).abs().sum(1)
    return (error * batch.colour_weight[rendering.surface]).sum() / len(batch.mask)


def rgb_mape(inputs: LossInputs) -> torch.Tensor:
    """Mean absolute percentage error ``|c - c*| / (c + 0.01)`` with colours in [0, 1], weighed, divided by all rays.

    The predicted colour in the denominator is a constant (as in instant neural graphics primitives), which weighs
    dark regions up; one below black counts as black.
    """
    rendering, batch = inputs.rendering, inputs.batch
    predicted, target = (rendering.rgb + 1) / 2, (batch.rgb[rendering.surface] + 1) / 2
    error = ((predicted - target).abs() / (predicted.detach().clamp_min(0) + 0.01)).sum(1)
    return (error * batch.colour_weight[rendering.surface]).sum() / len(batch.mask)


def mask_bce(inputs: LossInputs) -> torch.Tensor:
    """``(1/alpha) BCE(sigmoid(-alpha s), mask)`` on rays that are not (hit and in the mask), over all rays (IDR,
    eq. 7)."""
    rendering, mask = inputs.rendering, inputs.batch.mask
    wrong = ~(rendering.hit & mask)
    if not mask.is_cuda and not wrong.any():
        return rendering.sdf.sum() * 0
    logits = -inputs.alpha * rendering.sdf
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, mask.to(logits.dtype), reduction="none")
    return torch.where(wrong, loss, torch.zeros_like(loss)).sum() / (inputs.alpha * len(mask))


def opacity_bce(inputs: LossInputs) -> torch.Tensor:
    """Mean cross-entropy between the accumulated opacity of a ray and its mask (NeuS, eq. 18); volume stage."""
    opacity = inputs.rendering.opacity.clamp(1e-3, 1 - 1e-3)
    return torch.nn.functional.binary_cross_entropy(opacity, inputs.batch.mask.to(opacity.dtype))


def eikonal(inputs: LossInputs) -> torch.Tensor:
    """Mean ``(|grad f| - 1)^2`` (Gropp et al. 2020)."""
    return ((inputs.rendering.gradients.norm(dim=1) - 1) ** 2).mean()


def numerical_eikonal(inputs: LossInputs) -> torch.Tensor:
    """The eikonal term with gradients by central differences, at shaded and at free points (Li et al., "Neuralangelo",
    2023, eq. 4)."""
    points = torch.cat([inputs.surface_points, inputs.free_points[: inputs.fine_points]])
    gradient = stencil(inputs.field, points, inputs.stencil_step).gradient
    return ((gradient.norm(dim=1) - 1) ** 2).mean()


def curvature(inputs: LossInputs) -> torch.Tensor:
    """Mean absolute Laplacian of the SDF, twice the mean curvature, at shaded points by differences over a cell (Li et
    al., "Neuralangelo", 2023, eq. 8)."""
    points = inputs.surface_points
    if not len(points):
        return inputs.rendering.sdf.sum() * 0
    return stencil(inputs.field, points, inputs.stencil_step).laplacian.abs().mean()


def total_variation(inputs: LossInputs) -> torch.Tensor:
    """Squared differences of neighbouring entries of the SDF's table about shaded points (after Rudin et al. 1992)."""
    points = inputs.surface_points
    return inputs.field.encoding.total_variation(points) if len(points) else inputs.rendering.sdf.sum() * 0


def level_decay(inputs: LossInputs) -> torch.Tensor:
    """Weight decay of the SDF's table about shaded points, finer levels more."""
    points = inputs.surface_points
    return inputs.field.encoding.level_decay(points) if len(points) else inputs.rendering.sdf.sum() * 0


def silhouette(inputs: LossInputs) -> torch.Tensor:
    """How far the SDF at free points lies below the distance that the masks prove; mean over the points."""
    sdf = inputs.rendering.free_sdf[: len(inputs.free_bound)]  # those of priors come after
    return (inputs.free_bound - sdf).clamp_min(0).mean()


def smoothness(inputs: LossInputs) -> torch.Tensor:
    """Mean squared difference of the SDF gradients at surface points and at random neighbours (UNISURF, Oechsle et al.
    2021, eq. 12): what nothing in the photographs decides is left smooth."""
    roughness = inputs.rendering.roughness
    return roughness.mean() if len(roughness) else inputs.rendering.sdf.sum() * 0


def residue(inputs: LossInputs) -> torch.Tensor:
    """Mean square of the shading field's residue at shaded points, relative to white light: of all the ways to split a
    picture, the one in which light explains most."""
    values = inputs.rendering.decomposition.residue
    return values.square().mean() if len(values) else inputs.rendering.sdf.sum() * 0


RGB_LOSSES = {"l1": rgb_l1, "mape": rgb_mape}


def make_loss_terms(config: Config) -> list[LossTerm]:
    """The terms of a conf that have a weight.

    Raises:
        ConfigError: ``loss.rgb_loss`` names no loss, or a term needs another radiance field.
    """
    loss = config.loss
    if loss.rgb_loss not in RGB_LOSSES:
        raise ConfigError(f"loss.rgb_loss is {loss.rgb_loss!r}; known are {', '.join(RGB_LOSSES)}")
    mode = config.model.rendering_network.mode
    if loss.residue_weight > 0 and mode != SHADING_MODE:
        raise ConfigError(
            f"loss.residue_weight needs model.rendering_network.mode = {SHADING_MODE}, which alone has a residue; the "
            f"mode is {mode}"
        )

    def decaying(weight: float, final: float) -> Callable[[float], float]:
        return lambda progress: weight * cosine(progress, final)

    terms = [
        LossTerm("rgb", lambda _: 1.0, RGB_LOSSES[loss.rgb_loss]),
        LossTerm("eikonal", lambda _: loss.eikonal_weight, numerical_eikonal if loss.numerical_eikonal else eikonal),
        LossTerm("mask", lambda progress: loss.mask_weight * cosine(progress, loss.mask_final), mask_bce),
        LossTerm("silhouette", lambda _: loss.silhouette_weight, silhouette),
        LossTerm("smoothness", decaying(loss.smoothness_weight, loss.smoothness_final), smoothness),
        LossTerm("residue", lambda _: loss.residue_weight, residue),
        LossTerm("curvature", decaying(loss.curvature_weight, loss.curvature_final), curvature),
        LossTerm(
            "total_variation", decaying(loss.total_variation_weight, loss.total_variation_final), total_variation
        ),
        LossTerm("level_decay", decaying(loss.level_decay_weight, loss.level_decay_final), level_decay),
    ]
    return [term for term in terms if term.weight(0.0) > 0]


def make_volume_terms(config: Config, masked: bool) -> list[LossTerm]:
    """The terms of the volume stage that have a weight; those of the masks only in a scene that is ``masked``."""
    loss, volume = config.loss, config.volume
    terms = [
        LossTerm("rgb", lambda _: 1.0, RGB_LOSSES[loss.rgb_loss]),
        LossTerm("eikonal", lambda _: loss.eikonal_weight, eikonal),
    ]
    if masked:
        terms.append(LossTerm("mask", lambda _: volume.mask_weight, opacity_bce))
    if masked or volume.margin > 0:
        terms.append(LossTerm("silhouette", lambda _: loss.silhouette_weight, silhouette))
    return [term for term in terms if term.weight(0.0) > 0]


def mask_alpha(config: Config, progress: float) -> float:
    """Sharpness of the mask loss: ``loss.alpha`` times ``alpha_factor`` for each milestone passed."""
    return config.loss.alpha * milestones(progress, config.train.alpha_milestones, config.train.alpha_factor)


def sparse_points_weight(config: Config, progress: float) -> float:
    """``loss.sparse_points_weight`` along half a cosine to a tenth: points have noise that photographs have not."""
    return config.loss.sparse_points_weight * cosine(progress, 0.1)
