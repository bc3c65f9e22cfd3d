"""Distances of a decomposition to a sample, over the mask's pixels alone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nsr.priors.networks.intrinsic_decomposition.methods import Term

_DISTANCES = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss, "squared": F.mse_loss}
# Which map of a sample each predicted quantity is compared with
_TRUTH = {"normal": "normal", "albedo": "albedo", "shading": "shading", "reconstruction": "image"}


def sample_light(batch: dict) -> Tensor:
    """The light ``[B, 27]`` of a batch, whose samples carry it as a constant map."""
    return batch["light"][..., 0, 0]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``values`` ``[B, C, H, W]`` where ``mask`` ``[B, 1, H, W]`` is one; no gradient to where it is zero."""
    return torch.where(mask > 0, values, 0.0).sum() / (mask.sum() * values.shape[1]).clamp_min(1.0)


def term_losses(prediction: dict[str, Tensor], batch: dict, terms: tuple[Term, ...]) -> dict[str, Tensor]:
    """Each term of a loss by the quantity's name, weighted; differentiable in the prediction."""
    losses = {}
    for term in terms:
        distance = _DISTANCES[term.distance]
        if term.quantity == "light":
            loss = distance(prediction["light"], sample_light(batch))
        else:
            values = distance(prediction[term.quantity], batch[_TRUTH[term.quantity]], reduction="none")
            loss = masked_mean(values, batch["mask"])
        losses[term.quantity] = term.weight * loss
    return losses
