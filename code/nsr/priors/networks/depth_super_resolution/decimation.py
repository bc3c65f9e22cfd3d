"""Low-resolution depth from high: three ways of decimating, with masks, blur and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import avg_pool2d, conv2d, pad

from nsr.errors import NsrError

PHASES = {"interval": 0.0, "nearest": 0.5, "area": 0.5}  # as ``interpolation.upsample`` takes it


@dataclass(frozen=True)
class Degradation:
    """How a low-resolution sensor would have seen a high-resolution map.

    Args:
        kind: ``interval``, the first pixel of every block, as the four-view interleaving has it (and as OpenCV's
            nearest neighbour does); ``nearest``, the pixel at the block's middle (of the middle four the lower right,
            half a fine pixel from the block's centre); ``area``, the mean of the block's valid pixels.
        blur: standard deviation of a Gaussian before decimation, in pixels of the LOW resolution; 0: none.
        noise: standard deviation of Gaussian noise on the low-resolution depth, in millimetres; 0: none.
    """

    kind: str = "interval"
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in PHASES:
            raise NsrError(f"{self.kind!r} is no way of decimating; there are {', '.join(PHASES)}")
        if not (0 <= self.blur < math.inf and 0 <= self.noise < math.inf):
            raise NsrError(f"blur ({self.blur:g} pixels) and noise ({self.noise:g} mm) must be finite, from 0 on")

    @property
    def phase(self) -> float:
        """Where a coarse pixel lies among its fine ones; see ``interpolation.upsample``."""
        return PHASES[self.kind]

    def apply(
        self, depth: torch.Tensor, mask: torch.Tensor, factor: int, generator: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Blur, decimate, add noise.

        Args:
            depth: ``[B, 1, H, W]`` metres; what invalid pixels hold is never read. Sides that ``factor`` does not
                divide are met by invalid pixels.
            mask: ``[B, 1, H, W]``, 1 where valid.
            generator: draws the noise; None: torch's own.

        Returns:
            Depth and mask ``[B, 1, ceil(H / factor), ceil(W / factor)]``; depth is zero where invalid.
        """
        depth = torch.where(mask > 0, depth, torch.zeros_like(depth))
        if self.blur > 0 and factor > 1:
            depth = _masked_blur(depth, mask, self.blur * factor)
        low, low_mask = decimate(depth, mask, factor, self.kind)
        if self.noise > 0:
            drawn = torch.randn(low.shape, generator=generator, dtype=low.dtype)
            low = (low + self.noise / 1000 * drawn.to(low.device)) * low_mask
        return low, low_mask


def decimate(depth: torch.Tensor, mask: torch.Tensor, factor: int, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """One depth (zero where invalid) and validity for each block of factor x factor pixels; see ``Degradation``.

    An ``area`` pixel is valid where at least half of its block is, the other kinds' where the pixel taken is.
    """
    below, right = (-size % factor for size in depth.shape[-2:])
    depth, mask = pad(depth, (0, right, 0, below)), pad(mask, (0, right, 0, below))
    if kind != "area":
        first = factor // 2 if kind == "nearest" else 0
        return depth[..., first::factor, first::factor], mask[..., first::factor, first::factor]
    share = avg_pool2d(mask, factor)
    valid = (share >= 0.5).to(mask.dtype)
    return avg_pool2d(depth * mask, factor) / share.clamp(min=0.5) * valid, valid


def pyramid(
    depth: torch.Tensor, mask: torch.Tensor, factor: int, kind: str
) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """What each stage should give: ``{2: (depth, mask), 4: ..., factor: the map itself}``, keyed by the enlargement."""
    levels = [2**stage for stage in range(1, factor.bit_length())]
    return {level: decimate(depth, mask, factor // level, kind) for level in levels}


def _masked_blur(depth: torch.Tensor, mask: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian mean of the valid pixels about each valid one (normalised convolution)."""
    radius = max(1, round(3 * sigma))
    weights = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=depth.dtype, device=depth.device) / sigma) ** 2)

    def blur(values: torch.Tensor) -> torch.Tensor:
        values = conv2d(pad(values, (radius, radius, 0, 0)), weights.view(1, 1, 1, -1))
        return conv2d(pad(values, (0, 0, radius, radius)), weights.view(1, 1, -1, 1))

    return blur(depth * mask) / blur(mask).clamp(min=1e-6) * mask
