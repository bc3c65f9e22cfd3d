"""The skip network that labels pictures (stage 1 of SfSNet's training): an encoder, two decoders with skips, a light.

It is trained on rendered pictures alone; what it says of photographs then serves as their labels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from nsr.priors.networks.intrinsic_decomposition.backbone import conv_norm_relu, unit_normals
from nsr.priors.networks.intrinsic_decomposition.illumination import COEFFICIENTS

LEVELS = 5
MULTIPLE = 2**LEVELS


def _channels(width: int) -> list[int]:
    """Channels of the levels, full size first: half the width doubles to twice the width and stays there."""
    return [width // 2, width, 2 * width, 2 * width, 2 * width, 2 * width]


class _Decoder(nn.Module):
    """Five times: up-sample, join the encoder's features of that size, convolve; three linear channels at the end."""

    def __init__(self, width: int):
        super().__init__()
        channels = _channels(width)
        self.levels = nn.ModuleList(
            conv_norm_relu(channels[level + 1] + channels[level], channels[level], 3) for level in range(LEVELS)
        )
        self.last = nn.Conv2d(channels[0], 3, 1)

    def forward(self, encoded: list[torch.Tensor]) -> torch.Tensor:
        features = encoded[-1]
        for level in reversed(range(LEVELS)):
            features = F.interpolate(features, scale_factor=2, mode="nearest")
            features = self.levels[level](torch.cat((features, encoded[level]), 1))
        return self.last(features)


class SkipNetwork(nn.Module):
    """Picture ``[B, 3, H, W]`` in [0, 1], any size -> normal, albedo ``[B, 3, H, W]`` and light ``[B, 27]``."""

    def __init__(self, width: int = 128, drop: float = 0.0):
        super().__init__()
        channels = _channels(width)
        self.first = conv_norm_relu(3, channels[0], 3)
        self.encoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels[level], channels[level + 1], 4, stride=2, padding=1),
                nn.BatchNorm2d(channels[level + 1]),
                nn.LeakyReLU(0.2),
                nn.Dropout2d(drop),
            )
            for level in range(LEVELS)
        )
        self.normal_decoder = _Decoder(width)
        self.albedo_decoder = _Decoder(width)
        self.light = nn.Linear(channels[-1], COEFFICIENTS)

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        height, width = picture.shape[-2:]
        padded = F.pad(picture, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        encoded = [self.first(padded)]
        for level in self.encoder:
            encoded.append(level(encoded[-1]))
        normal = unit_normals(self.normal_decoder(encoded)[..., :height, :width])
        albedo = self.albedo_decoder(encoded)[..., :height, :width]
        return normal, albedo, self.light(encoded[-1].mean((2, 3)))
