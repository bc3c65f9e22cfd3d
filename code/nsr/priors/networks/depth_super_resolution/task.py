"""What the trainer and the evaluation know of depth super-resolution."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.common.task import Descent, Panel, Task
from nsr.priors.networks.depth_super_resolution.decimation import Degradation, pyramid
from nsr.priors.networks.depth_super_resolution.holes import fill_holes
from nsr.priors.networks.depth_super_resolution.interpolation import repeat, upsample
from nsr.priors.networks.depth_super_resolution.losses import stage_loss
from nsr.priors.networks.depth_super_resolution.measures import measure
from nsr.priors.networks.depth_super_resolution.network import DepthSuperResolution
from nsr.priors.networks.depth_super_resolution.refinement import refine_edges

ERROR_SHOWN = 0.05  # share of the frame's nearest depth at which the colours of error panels end


class SuperResolutionTask(Task):
    """A network, the way its inputs are decimated, and what is asked of it.

    Attributes:
        factor: the enlargement at test.
        refine: sharpen the fused map's edges at test.
        enlarge: samples at test are low-resolution maps to enlarge, without a truth to compare with.
    """

    def __init__(self, network: DepthSuperResolution, degradation: Degradation):
        self.network = network.to(memory_format=torch.channels_last)
        self.degradation = degradation
        self.factor = network.factor
        self.refine = False
        self.enlarge = False

    def losses(self, batch: Sample) -> dict[str, Tensor]:
        """A term for every stage, and for what the fusion makes of it."""
        factor = self.network.factor
        low, low_mask = self.degradation.apply(batch["depth"], batch["mask"], factor)
        truths = pyramid(batch["depth"], batch["mask"], factor, self.degradation.kind)
        outputs = self.network(_channels_last(fill_holes(low, low_mask)), fuse_every_stage=True)
        return {name: stage_loss(depth, *truths[_enlargement(name, factor)]) for name, depth in outputs.items()}

    def step(self, batch: Sample, descents: dict[str, Descent]) -> dict[str, float]:
        """A step on the batch turned by a random multiple of 90 degrees, or mirrored."""
        turns, mirrored = (int(torch.randint(count, ())) for count in (4, 2))
        turned = {
            name: torch.rot90(values.flip(-1) if mirrored else values, turns, (-2, -1))
            if isinstance(values, Tensor)
            else values
            for name, values in batch.items()
        }
        return super().step(turned, descents)

    def predict(self, sample: Sample) -> dict[str, Tensor]:
        """Enlarge the sample's depth, or what is left of it after degradation.

        Returns:
            ``low`` ``[1, h, w]``, ``bicubic``, ``fused`` and ``depth`` (the fused map, refined where asked)
            ``[1, H, W]``, every stage by its name, and ``mask``: 1 where the low-resolution pixel was valid. Metres.

        Raises:
            NsrError: no pixel is valid after degradation.
        """
        depth, mask = sample["depth"][None], sample["mask"][None]
        height, width = mask.shape[-2:]
        if self.enlarge:
            low, low_mask = depth, mask
            height, width = self.factor * height, self.factor * width
        else:
            noise = torch.Generator().manual_seed(zlib.crc32(f"{sample['scene']}/{sample['name']}".encode()))
            low, low_mask = self.degradation.apply(depth, mask, self.factor, noise)
            if not low_mask.any():
                raise NsrError(
                    f"{sample['scene']}/{sample['name']}: nothing valid is left of it once it is {self.factor} times "
                    "smaller; give a smaller --factor, or take it out"
                )
        filled = fill_holes(low, low_mask)
        outputs = self.network(_channels_last(filled), self.factor)
        maps = {"low": filled, **outputs, "bicubic": upsample(filled, self.factor, self.degradation.phase)}
        maps["depth"] = refine_edges(outputs["fused"]) if self.refine else outputs["fused"]
        maps["mask"] = repeat(low_mask, self.factor)
        for name in maps.keys() - {"low"}:  # sides that the factor does not divide end within the last pixel
            shrunk = self.factor // _enlargement(name, self.factor)
            maps[name] = maps[name][..., : -(-height // shrunk), : -(-width // shrunk)]
        return {name: values[0] for name, values in maps.items()}

    def measure(self, prediction: dict[str, Tensor], sample: Sample) -> dict[str, float]:
        """RMSE, MAD (mm) and PSNR of every stage at its own size, of the fused map and of bicubic interpolation.

        Pixels count where the truth is valid and, at the full size, the low-resolution pixel was. ``fused_to_bicubic``
        is the ratio of the RMSEs of the result and of bicubic interpolation. Nothing where there is no truth.
        """
        if self.enlarge:
            return {}
        truths = pyramid(sample["depth"][None], sample["mask"][None], self.factor, self.degradation.kind)
        mask = sample["mask"] * prediction["mask"]
        figures = {}
        for name in ["bicubic", *_stages(self.factor), "fused", *(["refined"] if self.refine else [])]:
            truth, valid = (values[0] for values in truths[_enlargement(name, self.factor)])
            compared = mask if valid.shape == mask.shape else valid
            of = measure(prediction["depth" if name == "refined" else name], truth, compared)
            figures |= {f"{name}_{figure}": value for figure, value in of.items()}
        figures["fused_to_bicubic"] = figures["fused_rmse_mm"] / max(figures["bicubic_rmse_mm"], 1e-9)
        return figures

    def panels(self, prediction: dict[str, Tensor], sample: Sample) -> list[Panel]:
        """The montage: input, bicubic, every stage and the result; where there is a truth, it and both errors."""
        known = prediction["low"][prediction["low"] > 0]
        near, far = (float(value) for value in (known.min(), known.max()))
        titles = {"low": "input", "bicubic": "bicubic", **{name: f"stage {name}" for name in _stages(self.factor)}}
        titles["depth"] = "fused, refined" if self.refine else "fused"
        panels = [Panel(title, prediction[name][0].numpy(), (near, far), "m") for name, title in titles.items()]
        if self.enlarge:
            return panels
        valid = (sample["mask"] * prediction["mask"])[0] > 0
        truth = torch.where(sample["mask"] > 0, sample["depth"], torch.nan)[0]
        panels.append(Panel("truth", truth.numpy(), (near, far), "m"))
        limit = round(ERROR_SHOWN * near * 1000)
        for name, title in (("bicubic", "error of bicubic"), ("depth", "error of the result")):
            error = torch.where(valid, (prediction[name] - sample["depth"])[0] * 1000, torch.nan)
            panels.append(Panel(title, error.numpy().astype(np.float32), (-limit, limit), "mm"))
        return panels


def _stages(factor: int) -> list[str]:
    return [f"x{2**stage}" for stage in range(1, factor.bit_length())]


def _enlargement(name: str, factor: int) -> int:
    """What a map's name ends in, ``x4`` or ``fused_x4``, else the whole."""
    digits = name.rpartition("x")[2]
    return int(digits) if digits.isdigit() else factor


def _channels_last(maps: Tensor) -> Tensor:
    return maps.contiguous(memory_format=torch.channels_last)
