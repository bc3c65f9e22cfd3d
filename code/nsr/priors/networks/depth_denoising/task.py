"""Denoising as the trainer sees it: losses, figures, pictures; with an adversary for the GAN."""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import torch
from torch import Tensor, nn

from nsr.priors.networks.common.metrics import mad_mm, rmse_mm
from nsr.priors.networks.common.patches import apply_in_tiles
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.common.task import Descent, Panel, Task
from nsr.priors.networks.depth_denoising.denoiser import FOCAL_BASELINE, INPUTS, OUTPUTS, Denoiser, max_filter
from nsr.priors.networks.depth_denoising.filters import bilateral_filter, median_filter
from nsr.priors.networks.depth_denoising.networks import FULL_WIDTHS, MULTIPLE, NETWORKS, Discriminator

_CENTIMETRES = 100.0
_ABOUT, _ALIKE = 11, 1.05  # pixels within which, and ratio up to which, depths are of one surface
_ERROR_MM = 30.0  # the range of error maps
_OF_RECONSTRUCTION = 0.02  # weight of the adversary's verdict beside centimetres


class DenoisingTask(Task):
    """Samples hold ``noisy`` and ``depth`` in metres (0: hole, unknown), ``infrared`` in [0, 1], and ``mask``, 1 where
    the true depth is known.

    Attributes:
        tile, overlap: of ``predict``, pixels; 0: whole frames.
    """

    def __init__(self, network: str, width: int | None, drop: float, infrared: bool, hole_mask: bool):
        width = width or FULL_WIDTHS[network]
        denoiser = Denoiser(NETWORKS[network](INPUTS, OUTPUTS, width, drop), infrared, hole_mask)
        self.network = denoiser.to(memory_format=torch.channels_last)  # a quarter faster on the CPU
        self.tile = self.overlap = 0

    def losses(self, batch: Sample) -> dict[str, Tensor]:
        """Mean absolute error over the mask, in centimetres."""
        return {"absolute_cm": self.reconstruction(self.network(batch["noisy"], batch["infrared"]), batch)}

    def reconstruction(self, predicted: Tensor, batch: Sample) -> Tensor:
        error = torch.where(batch["mask"] > 0, predicted - batch["depth"], 0.0)
        return _CENTIMETRES * error.abs().sum() / batch["mask"].sum().clamp(min=1)

    def predict(self, sample: Sample) -> dict[str, Tensor]:
        """``depth`` ``[1, H, W]`` in metres, holes filled; 0 where the background was taken out."""
        stacked = torch.cat([sample["noisy"], sample["infrared"]])
        depth = apply_in_tiles(
            lambda maps: self.network(maps[:, :1], maps[:, 1:]), stacked, self.tile, self.overlap, MULTIPLE
        )
        return {"depth": depth * (1 - sample["beyond"]) if "beyond" in sample else depth}

    def measure(self, prediction: dict[str, Tensor], sample: Sample) -> dict[str, float]:
        """Millimetres over measured pixels, for the noisy depth, two classical filters and the prediction; then over
        those of them that are away from outlines, and over holes."""
        noisy, truth, predicted = sample["noisy"], sample["depth"], prediction["depth"]
        mask = sample["mask"] * (predicted > 0)
        measured, holes = mask * (noisy > 0), mask * (noisy <= 0)
        if not mask.any():
            return {"holes": float((noisy <= 0).float().mean())}
        inside = measured * _away_from_outlines(truth)
        error = (predicted - truth)[measured > 0] * 1000
        return {
            "noisy_rmse_mm": rmse_mm(noisy, truth, measured),
            "median_rmse_mm": rmse_mm(median_filter(noisy), truth, measured),
            "bilateral_rmse_mm": rmse_mm(bilateral_filter(noisy), truth, measured),
            "rmse_mm": rmse_mm(predicted, truth, measured),
            "mad_mm": mad_mm(predicted, truth, measured),
            "noisy_mad_mm": mad_mm(noisy, truth, measured),
            "mean_error_mm": float(error.mean()) if error.numel() else float("nan"),
            "median_error_mm": float(error.median()) if error.numel() else float("nan"),
            "noisy_inside_rmse_mm": rmse_mm(noisy, truth, inside),
            "inside_rmse_mm": rmse_mm(predicted, truth, inside),
            "hole_rmse_mm": rmse_mm(predicted, truth, holes),
            "holes": float(holes.sum() / mask.sum()),
        }

    def panels(self, prediction: dict[str, Tensor], sample: Sample) -> list[Panel]:
        noisy, predicted = sample["noisy"][0].numpy(), prediction["depth"][0].numpy()
        nothing = float("nan")
        shown = predicted[predicted > 0]
        limits = (float(np.quantile(shown, 0.01)), float(shown.max())) if shown.size else (0.0, 1.0)
        drawn = [
            Panel("infrared", sample["infrared"][0].numpy()),
            Panel("noisy depth", np.where(noisy > 0, noisy, nothing), limits, "m"),
            Panel("denoised depth", np.where(predicted > 0, predicted, nothing), limits, "m"),
        ]
        known = (sample["mask"][0].numpy() > 0) & (predicted > 0)
        if known.any():
            truth, span = sample["depth"][0].numpy(), (-_ERROR_MM, _ERROR_MM)
            drawn += [
                Panel("true depth", np.where(known, truth, nothing), limits, "m"),
                Panel("error, noisy", np.where(known & (noisy > 0), 1000 * (noisy - truth), nothing), span, "mm"),
                Panel("error, denoised", np.where(known, 1000 * (predicted - truth), nothing), span, "mm"),
            ]
        return drawn


class AdversarialTask(DenoisingTask):
    """The generator is also judged by a network that sees the noisy depth beside the denoised or the true one.

    Least squares as in Mao et al. 2017.
    """

    def __init__(self, width: int | None, drop: float, infrared: bool, hole_mask: bool):
        super().__init__("gan", width, drop, infrared, hole_mask)
        self.discriminator = Discriminator(2, 2 * (width or FULL_WIDTHS["gan"]))

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.network, "discriminator": self.discriminator}

    def optimiser(self, name: str, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.999))

    def step(self, batch: Sample, descents: dict[str, Descent]) -> dict[str, float]:
        predicted = self.network(batch["noisy"], batch["infrared"])
        verdict = self.discriminator(self._pair(predicted, batch))
        figures = descents["network"].step(
            {
                "absolute_cm": self.reconstruction(predicted, batch),
                "adversarial": _OF_RECONSTRUCTION * (verdict - 1).square().mean(),
            }
        )
        real = self.discriminator(self._pair(batch["depth"], batch))
        fake = self.discriminator(self._pair(predicted.detach(), batch))
        return figures | descents["discriminator"].step(
            {"real": 0.5 * (real - 1).square().mean(), "fake": 0.5 * fake.square().mean()}
        )

    def _pair(self, depth: Tensor, batch: Sample) -> Tensor:
        """Inverse depths beside each other, 0 where the true one is not known."""
        disparities = [FOCAL_BASELINE / maps.clamp(min=0.1) for maps in (depth, batch["noisy"])]
        seen = batch["mask"], batch["mask"] * (batch["noisy"] > 0)
        return torch.cat([0.1 * disparity * valid for disparity, valid in zip(disparities, seen, strict=True)], 1)


def _away_from_outlines(depth: Tensor) -> Tensor:
    """``[1, H, W]`` 1 where depths about a pixel are alike, 0 where one may be of something else."""
    farthest, nearest = max_filter(depth[None], _ABOUT)[0], -max_filter(-depth[None], _ABOUT)[0]
    return (farthest < _ALIKE * nearest).to(depth.dtype)


def make_task(options: Namespace) -> DenoisingTask:
    """The task that the flags of ``nsr prior train`` ask for."""
    shared = options.width, options.drop, options.infrared, options.hole_mask
    return AdversarialTask(*shared) if options.network == "gan" else DenoisingTask(options.network, *shared)
