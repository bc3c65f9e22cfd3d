"""Discriminators that tell true albedo from generated, and the least-squares loss (LSGAN, Mao et al. 2017).

Labels always take the shape of the prediction: one number a sample becomes one for each of its patches, never a table
of every sample against every label.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

PATCH_WIDTH = DCGAN_WIDTH = 64  # channels of the first layer, in the originals
DCGAN_LEVELS = 5  # for 128 pixels: 128, 64, 32, 16, 8, 4 and then one number


def _down(inputs: int, outputs: int, norm: type[nn.Module] | None, bias: bool) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)]
    if norm is not None:
        layers.append(norm(outputs))
    return [*layers, nn.LeakyReLU(0.2)]


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): ``[B, 3, H, W]``, sides of 32 or more -> a score a patch ``[B, 1, h, w]``."""

    def __init__(self, width: int = PATCH_WIDTH):
        super().__init__()
        layers = _down(3, width, None, True)
        for level in range(3):
            layers += _down(width << level, width << (level + 1), nn.InstanceNorm2d, True)
        layers += [nn.ZeroPad2d((1, 0, 1, 0)), nn.Conv2d(width << 3, 1, 4, padding=1, bias=False)]
        self.layers = nn.Sequential(*layers)

    def forward(self, albedo: torch.Tensor) -> torch.Tensor:
        return self.layers(albedo)


class ConvolutionalDiscriminator(nn.Module):
    """DCGAN's (Radford et al. 2016): ``[B, 3, H, W]`` -> a probability for each sample ``[B, 1, h, w]``.

    At sides of ``4 * 2**levels`` pixels, for which it is made, h = w = 1.  With five levels and width 64 it is the
    original: 11,164,416 parameters.
    """

    def __init__(self, width: int = DCGAN_WIDTH, levels: int = DCGAN_LEVELS):
        super().__init__()
        layers = _down(3, width, None, False)
        for level in range(levels - 1):
            layers += _down(width << level, width << (level + 1), nn.BatchNorm2d, False)
        layers += [nn.Conv2d(width << (levels - 1), 1, 4, bias=False), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)

    def forward(self, albedo: torch.Tensor) -> torch.Tensor:
        return self.layers(albedo)


def least_squares(scores: torch.Tensor, label: float | torch.Tensor) -> torch.Tensor:
    """Mean of (score - label)^2.

    Args:
        scores: ``[B, ...]``; label: one number for all, or ``[B]``, one for each sample.
    """
    if isinstance(label, torch.Tensor):
        target = label.to(scores.dtype).view(-1, *[1] * (scores.ndim - 1)).expand_as(scores)
    else:
        target = torch.full_like(scores, label)
    return F.mse_loss(scores, target)


def discriminator_loss(
    discriminator: nn.Module, given: torch.Tensor, generated: torch.Tensor, label: float | torch.Tensor = 1.0
) -> torch.Tensor:
    """Half of: ``given`` albedo against its ``label``, and ``generated`` albedo (no gradient to it) against zero."""
    return 0.5 * (least_squares(discriminator(given), label) + least_squares(discriminator(generated.detach()), 0.0))
