"""Depth super-resolution as novel view synthesis (Song, Dai and Qin, TCSVT 2019, arXiv 1808.08688)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from nsr.errors import NsrError
from nsr.priors.networks.depth_super_resolution.interleave import interleave
from nsr.priors.networks.depth_super_resolution.interpolation import upsample
from nsr.priors.networks.depth_super_resolution.units import FULL_WIDTH, UNITS

FACTORS = (2, 4, 8, 16)
LOCAL_WINDOW = 9  # pixels along the side of the mean that a unit's input is measured from


class DepthSuperResolution(nn.Module):
    """Stages that double a depth map's sides, each by four networks, and a network that fuses all stages.

    A stage synthesises the four views whose pixels interleave to the finer map. Each of its networks corrects the
    bicubic view of that position; it sees depth relative to a local mean, so that a scene moved away gives the same
    correction moved away, and a plane none at all (``vdsr``, which has no biases).

    Args:
        factor: the largest enlargement, 2, 4, 8 or 16; one stage per doubling. Smaller ones are its first stages.
        unit: ``srcnn`` or ``vdsr``.
        width: channels of a unit; 64 is the published network.
        phase: how the low-resolution maps were decimated; see ``interpolation.upsample``.
        fuse_input: whether the fusion also sees the enlarged input, as the paper's does.
        drop: of a unit's channels in training.
    """

    def __init__(
        self,
        factor: int = 8,
        unit: str = "vdsr",
        width: int = FULL_WIDTH,
        phase: float = 0.0,
        fuse_input: bool = True,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        if factor not in FACTORS:
            raise NsrError(f"a factor of {factor} is not possible: take one of {', '.join(map(str, FACTORS))}")
        if unit not in UNITS:
            raise NsrError(f"{unit!r} is no unit; there are {', '.join(UNITS)}")
        if width < 2 or width % 2:
            raise NsrError(f"a width of {width} is not possible: take an even number from 2 on")
        self.factor, self.phase, self.fuse_input = factor, phase, fuse_input
        make = UNITS[unit]
        self.stages = nn.ModuleList(
            nn.ModuleList(make(width, drop) for _ in range(4)) for _ in range(factor.bit_length() - 1)
        )
        self.fusion = make(width, drop)
        for unit_network in [*(view for stage in self.stages for view in stage), self.fusion]:
            nn.init.zeros_(unit_network[-1].weight)  # training starts from bicubic interpolation

    def forward(
        self, low: torch.Tensor, factor: int | None = None, fuse_every_stage: bool = False
    ) -> dict[str, torch.Tensor]:
        """Enlarge by ``factor`` (None: the largest).

        Args:
            low: ``[B, 1, H, W]`` metres, without holes (see ``holes.fill_holes``).
            fuse_every_stage: also fuse what there is after each stage, as a smaller factor would; for training.

        Returns:
            The depth after every stage, ``x2`` ``[B, 1, 2H, 2W]``, ``x4`` and so on, and of all of them ``fused``
            ``[B, 1, factor * H, factor * W]``; where asked, ``fused_x2`` and so on. Metres, differentiable in
            parameters and ``low``.
        """
        factor = factor or self.factor
        self.require_factor(factor)
        outputs: dict[str, torch.Tensor] = {}
        scales = [low]
        enlarged = 1
        for stage in self.stages:
            finest = scales[-1]
            relative = _relative(finest)
            corrections = torch.cat([view(relative) for view in stage], 1)
            scales.append(upsample(finest, 2, self.phase) + interleave(corrections))
            enlarged *= 2
            outputs[f"x{enlarged}"] = scales[-1]
            if enlarged == factor:
                break
            if fuse_every_stage:
                outputs[f"fused_x{enlarged}"] = self._fuse(scales)
        outputs["fused"] = self._fuse(scales)
        return outputs

    def _fuse(self, scales: list[torch.Tensor]) -> torch.Tensor:
        """The finest of maps, corrected by what all of them say; each has twice the size of the one before."""
        *coarser, finest = scales if self.fuse_input else scales[1:]
        sized = [upsample(scale, 2 ** (len(coarser) - index), self.phase) for index, scale in enumerate(coarser)]
        return finest + self.fusion(_relative(torch.stack([*sized, finest]).mean(0)))

    def require_factor(self, factor: int) -> None:
        """Raise ``NsrError`` where the network has no stages for ``factor``."""
        able = [known for known in FACTORS if known <= self.factor]
        if factor not in able:
            raise NsrError(f"this network enlarges by {', '.join(map(str, able))}, not by {factor}")


class FusedOnly(nn.Module):
    """A network's fused map alone, at its largest factor, for programs that take one output."""

    def __init__(self, network: DepthSuperResolution) -> None:
        super().__init__()
        self.network = network

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        return self.network(low)["fused"]


def _relative(depth: torch.Tensor) -> torch.Tensor:
    """Depth less the mean of its neighbourhood."""
    return depth - avg_pool2d(depth, LOCAL_WINDOW, stride=1, padding=LOCAL_WINDOW // 2, count_include_pad=False)
