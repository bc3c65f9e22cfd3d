"""Loss terms: each a name, a weight over the run, and a function of (rendering, batch)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from nsr.config.schema import Config
from nsr.errors import ConfigError
from nsr.rendering.surface import SurfaceRendering
from nsr.rendering.volume import VolumeRendering
from nsr.training.pixel_sampler import PixelBatch
from nsr.training.schedules import cosine, milestones


@dataclass
class LossInputs:
    """What a term may look at.

    Attributes:
        rendering: of the batch; batch: pixels and their photographs.
        alpha: sharpness of the mask loss at this point of the run.
        free_bound: ``[E]`` lower bound of the SDF at the free points (what the masks prove), or None.
    """

    rendering: SurfaceRendering | VolumeRendering
    batch: PixelBatch
    alpha: float
    free_bound: torch.Tensor | None = None


@dataclass
class LossTerm:
    """One named term; ``weight`` maps the progress of the run to its weight."""

    name: str
    weight: Callable[[float], float]
    function: Callable[[LossInputs], torch.Tensor]


def rgb_l1(inputs: LossInputs) -> torch.Tensor:
    """L1 of the shaded rays, summed over channels, divided by **all** rays of the batch (IDR, eq. 5)."""
    rendering, batch = inputs.rendering, inputs.batch
    return (rendering.rgb - batch.rgb[rendering.surface]).abs().sum() / len(batch.mask)


def rgb_mape(inputs: LossInputs) -> torch.Tensor:
    """Mean absolute percentage error ``|c - c*| / (c + 0.01)`` with colours in [0, 1], divided by all rays.

    The predicted colour in the denominator is a constant (as in instant neural graphics primitives), which weighs
    dark regions up.
    """
    rendering, batch = inputs.rendering, inputs.batch
    predicted, target = (rendering.rgb + 1) / 2, (batch.rgb[rendering.surface] + 1) / 2
    return ((predicted - target).abs() / (predicted.detach() + 0.01)).sum() / len(batch.mask)


def mask_bce(inputs: LossInputs) -> torch.Tensor:
    """``(1/alpha) BCE(sigmoid(-alpha s), mask)`` on rays that are not (hit and in the mask), over all rays (IDR, eq. 7)."""
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


def silhouette(inputs: LossInputs) -> torch.Tensor:
    """How far the SDF at free points lies below the distance that the masks prove; mean over the points."""
    return (inputs.free_bound - inputs.rendering.free_sdf).clamp_min(0).mean()


def smoothness(inputs: LossInputs) -> torch.Tensor:
    """Mean squared difference of the SDF gradients at surface points and at random neighbours (UNISURF, Oechsle et al.
    2021, eq. 12): what nothing in the photographs decides is left smooth."""
    roughness = inputs.rendering.roughness
    return roughness.mean() if len(roughness) else inputs.rendering.sdf.sum() * 0


RGB_LOSSES = {"l1": rgb_l1, "mape": rgb_mape}


def make_loss_terms(config: Config) -> list[LossTerm]:
    """The terms of a conf that have a weight.

    Raises:
        ConfigError: ``loss.rgb_loss`` names no loss.
    """
    loss = config.loss
    if loss.rgb_loss not in RGB_LOSSES:
        raise ConfigError(f"loss.rgb_loss is {loss.rgb_loss!r}; known are {', '.join(RGB_LOSSES)}")

    def smoothness_weight(progress: float) -> float:
        return loss.smoothness_weight * cosine(progress, loss.smoothness_final)

    terms = [
        LossTerm("rgb", lambda _: 1.0, RGB_LOSSES[loss.rgb_loss]),
        LossTerm("eikonal", lambda _: loss.eikonal_weight, eikonal),
        LossTerm("mask", lambda _: loss.mask_weight, mask_bce),
        LossTerm("silhouette", lambda _: loss.silhouette_weight, silhouette),
        LossTerm("smoothness", smoothness_weight, smoothness),
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
        terms.append(LossTerm("silhouette", lambda _: loss.silhouette_weight, silhouette))
    return [term for term in terms if term.weight(0.0) > 0]


def mask_alpha(config: Config, progress: float) -> float:
    """Sharpness of the mask loss: ``loss.alpha`` times ``alpha_factor`` for each milestone passed."""
    return config.loss.alpha * milestones(progress, config.train.alpha_milestones, config.train.alpha_factor)
