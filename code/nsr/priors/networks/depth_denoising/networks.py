"""The networks that ``--network`` chooses from; each maps ``[N, inputs, H, W]`` to ``[N, outputs, H, W]``.

Heights and widths are multiples of 16.  At full width, with two inputs and two outputs (depth and infrared), each has
the layers of the original denoising autoencoder for depth cameras; narrower ones have the same layers with fewer
channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

MULTIPLE = 16
FULL_WIDTHS = {"unet": 64, "conv": 64, "autoencoder": 16, "gan": 32}


class UNet(nn.Module):
    """The U-Net of Ronneberger et al. 2015, padded, with nearest-neighbour upsampling; 31.0 M parameters at width 64.

    Args:
        drop: dropout at the two coarsest levels.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 64, drop: float = 0.5):
        super().__init__()
        widths = [width * 2**level for level in range(5)]
        self.down = nn.ModuleList(_two_convolutions(before, after) for before, after in zip([inputs, *widths], widths))
        self.drop = nn.Dropout2d(drop)
        self.narrow = nn.ModuleList(nn.Conv2d(2 * after, after, 2) for after in widths[:-1])
        self.up = nn.ModuleList(_two_convolutions(2 * after, after) for after in widths[:-1])
        # The original squeezes everything through two channels that a ReLU may close; here they leak.
        self.head = nn.Sequential(
            nn.Conv2d(width, outputs, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(outputs, outputs, 1)
        )
        _initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        kept = []
        for level, convolutions in enumerate(self.down):
            maps = convolutions(nn.functional.max_pool2d(maps, 2) if level else maps)
            if level >= 3:
                maps = self.drop(maps)
            kept.append(maps)
        for level in reversed(range(4)):
            wide = pad(interpolate(maps, scale_factor=2.0, mode="nearest"), (0, 1, 0, 1))
            maps = self.up[level](torch.cat([kept[level], torch.relu(self.narrow[level](wide))], 1))
        return self.head(maps)


class ConventionalNetwork(nn.Module):
    """5x5 convolutions 64-32-16-4 and their transposed mirror, without padding; 138 k parameters at width 64."""

    def __init__(self, inputs: int, outputs: int, width: int = 64, drop: float = 0.0):
        super().__init__()
        widths = [width, max(width // 2, 1), max(width // 4, 1), max(width // 16, 1)]
        layers: list[nn.Module] = []
        for before, after in zip([inputs, *widths], widths):
            layers += [nn.Conv2d(before, after, 5), nn.ReLU()]
        layers.append(nn.Dropout2d(drop))
        for before, after in zip([widths[-1], *widths[::-1]], widths[::-1]):
            layers += [nn.ConvTranspose2d(before, after, 5), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, outputs, 5, padding=2))
        _initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class ConvolutionalAutoencoder(nn.Module):
    """3x3 convolutions of stride 2 (16, 32, 64), a latent of 16 channels, and back.

    The original's latent is 16 numbers a tile, which hold nothing of a scene; here it is 16 for every 8x8 pixels.
    """

    def __init__(self, inputs: int, outputs: int, width: int = 16, drop: float = 0.0):
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for before, after in zip([inputs, *widths], widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], width, 1), nn.Dropout2d(drop)]
        for before, after in zip([width, *widths[::-1]], widths[::-1]):
            layers += [nn.Upsample(scale_factor=2.0, mode="nearest"), nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, outputs, 3, padding=1))
        _initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


class Generator(nn.Module):
    """The U-Net of context-conditional GANs (Denton et al. 2016): 4x4 convolutions of stride 2 (32-256), and back."""

    def __init__(self, inputs: int, outputs: int, width: int = 32, drop: float = 0.0):
        super().__init__()
        widths = [width * 2**level for level in range(4)]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 4, stride=2, padding=1),
                nn.BatchNorm2d(after, momentum=0.2) if level else nn.Identity(),
                nn.LeakyReLU(0.2),
            )
            for level, (before, after) in enumerate(zip([inputs, *widths], widths))
        )
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2.0, mode="nearest"),
                nn.ZeroPad2d((1, 2, 1, 2)),
                nn.Conv2d(before, after, 4),
                nn.ReLU(),
                nn.Dropout2d(drop),
                nn.BatchNorm2d(after, momentum=0.2),
            )
            for before, after in ((widths[3], widths[2]), (2 * widths[2], widths[1]), (2 * widths[1], widths[0]))
        )
        self.head = nn.Sequential(
            nn.Upsample(scale_factor=2.0, mode="nearest"), nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(2 * width, outputs, 4)
        )
        _initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        kept = []
        for convolution in self.down:
            maps = convolution(maps)
            kept.append(maps)
        for convolution, skip in zip(self.up, kept[-2::-1]):
            maps = torch.cat([convolution(maps), skip], 1)
        return self.head(maps)


class Discriminator(nn.Module):
    """4x4 convolutions of stride 2 (64, 128, 256) with instance normalisation; a map of how real each patch looks."""

    def __init__(self, inputs: int, width: int = 64):
        super().__init__()
        widths = [width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(zip([inputs, *widths], widths)):
            layers.append(nn.Conv2d(before, after, 4, stride=2, padding=1))
            layers += [nn.InstanceNorm2d(after)] if level else []
            layers.append(nn.LeakyReLU(0.2))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps)


NETWORKS = {"unet": UNet, "conv": ConventionalNetwork, "autoencoder": ConvolutionalAutoencoder, "gan": Generator}


def _two_convolutions(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU()
    )


def _initialise(network: nn.Module) -> None:
    """He et al. 2015 for all layers but the last, which begins near 0: what is learnt is a correction."""
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=1e-3)
