"""The residual U-Net: shading, pattern and low-resolution depth in, the missing relief in millimetres out.

Tokieda, "High-Frequency Shape Recovery from Shading by CNN and Domain Adaptation" (2021), at full width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FULL_WIDTH = 16  # channels of the first level; each of the next three has twice as many
LEVELS = 4
MULTIPLE = 2 ** (LEVELS - 1)  # heights and widths are multiples of this


class ResidualUNet(nn.Module):
    """Four levels with skip connections; batch normalisation and dropout before each 3x3 convolution, tanh after it.

    With three inputs and width 16 it has 538,129 parameters.  The last layer is linear, so that its output has a unit:
    millimetres of depth to be added to the low-resolution depth, positive away from the camera.

    Args:
        inputs: channels of what it is given.
        width: channels of the first level.
        dropout: rate at which whole channels are dropped before a convolution while training.
    """

    def __init__(self, inputs: int = 3, width: int = FULL_WIDTH, dropout: float = 0.2):
        super().__init__()
        stem = max(width // 2, 1)
        channels = [width * 2**level for level in range(LEVELS)]
        self.stem = nn.Conv2d(inputs, stem, 3, padding=1)
        self.encoder = nn.ModuleList(
            _two_layers(nn.Conv2d, before, after, dropout)
            for before, after in zip([stem, *channels[:-1]], channels, strict=True)
        )
        coarse_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.reduce = nn.ModuleList(nn.ConvTranspose2d(before, after, 3, padding=1) for before, after in coarse_to_fine)
        self.decoder = nn.ModuleList(
            _two_layers(nn.ConvTranspose2d, 2 * after, after, dropout) for _, after in coarse_to_fine
        )
        self.head = nn.ConvTranspose2d(channels[0], 1, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """``[B, inputs, H, W]`` with H and W multiples of 8 to ``[B, 1, H, W]``, differentiable in everything.

        Raises:
            ValueError: H or W is not a multiple of 8.
        """
        if not torch.jit.is_tracing() and any(size % MULTIPLE for size in maps.shape[-2:]):
            height, width = maps.shape[-2:]
            raise ValueError(f"height and width must be multiples of {MULTIPLE}, not {height} x {width}")
        features = self.stem(maps)
        skips = []
        for level, block in enumerate(self.encoder):
            features = block(nn.functional.avg_pool2d(features, 2) if level else features)
            skips.append(features)
        skips.pop()
        for reduce, block in zip(self.reduce, self.decoder, strict=True):
            finer = nn.functional.interpolate(reduce(features), scale_factor=2, mode="nearest")
            features = block(torch.cat([finer, skips.pop()], dim=1))
        return self.head(features)


def _two_layers(convolution: type[nn.Module], before: int, after: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        convolved = convolution(channels, after, 3, padding=1)
        layers += [nn.BatchNorm2d(channels), nn.Dropout2d(dropout), convolved, nn.Tanh()]
    return nn.Sequential(*layers)
