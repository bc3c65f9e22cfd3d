"""How good a decomposition is: figures of one sample, over its mask."""

from __future__ import annotations

import torch
from torch import Tensor

from nsr.priors.networks.common.metrics import angular_error_degrees, psnr_db
from nsr.priors.networks.intrinsic_decomposition.illumination import fit_light, shade

_DARKEST_ALBEDO = 1e-3  # below it a picture says nothing of its shading


def scale_invariant_rmse(values: Tensor, truth: Tensor, mask: Tensor) -> float:
    """Root mean square of truth - s values over a mask, with the one best scale s (Grosse et al. 2009).

    Args:
        values, truth: ``[3, H, W]``; mask: ``[1, H, W]``.
    """
    inside = mask[0] > 0
    a, b = values[:, inside].double(), truth[:, inside].double()
    scale = (a * b).sum() / (a * a).sum().clamp_min(1e-12)
    return float((b - scale * a).square().mean().sqrt())


def best_harmonic_reconstruction(albedo: Tensor, normal: Tensor, image: Tensor, mask: Tensor) -> Tensor:
    """The nearest to ``image`` that any light of 27 harmonics can come with this albedo and these normals.

    All ``[3, H, W]``, the mask ``[1, H, W]``; least squares over the mask.
    """
    albedo, normal, image, mask = (values[None] for values in (albedo, normal, image, mask))
    known = torch.where(albedo.abs() > _DARKEST_ALBEDO, albedo, _DARKEST_ALBEDO)
    light = fit_light(normal, image / known, mask * known.square())
    return (albedo * shade(normal, light))[0]


def decomposition_figures(prediction: dict[str, Tensor], sample: dict) -> dict[str, float]:
    """Figures of one prediction (maps ``[C, H, W]``) against its sample; ground truth that is not there is left out.

    ``reconstruction_psnr_db`` is against the picture; beside it what the harmonics of the same network reach
    (``harmonic_psnr_db``), and what the best 27 could with its normals and albedo (``best_harmonic_psnr_db``).
    What knows nothing has for comparison: ``facing_mean_deg``, the error of normals that all face the viewer, and
    ``input_si_rmse``, the scale-invariant error of taking the picture itself for the albedo.
    """
    mask, image = sample["mask"], sample["image"]
    best = best_harmonic_reconstruction(prediction["harmonic_albedo"], prediction["normal"], image, mask)
    figures = {
        "reconstruction_psnr_db": psnr_db(prediction["reconstruction"].clamp(0, 1), image, mask),
        "harmonic_psnr_db": psnr_db(prediction["harmonic_reconstruction"].clamp(0, 1), image, mask),
        "best_harmonic_psnr_db": psnr_db(best.clamp(0, 1), image, mask),
    }
    if "normal" in sample:
        facing = torch.zeros_like(sample["normal"])
        facing[2] = -1
        figures["normal_mean_deg"] = angular_error_degrees(prediction["normal"], sample["normal"], mask)
        figures["facing_mean_deg"] = angular_error_degrees(facing, sample["normal"], mask)
    if "albedo" in sample:
        figures["albedo_si_rmse"] = scale_invariant_rmse(prediction["albedo"], sample["albedo"], mask)
        figures["input_si_rmse"] = scale_invariant_rmse(image, sample["albedo"], mask)
    if "shading" in sample:
        figures["shading_si_rmse"] = scale_invariant_rmse(prediction["shading"], sample["shading"], mask)
    return figures
