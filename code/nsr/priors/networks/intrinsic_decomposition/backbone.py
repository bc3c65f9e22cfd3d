"""SfSNet (Sengupta, Kanazawa, Castillo, Jacobs, CVPR 2018), at any width and any picture size.

At width 128 it is the original: 231,296 parameters in the stem, 1,478,656 in each residual stack, 90,883 in each
generator, 53,019 in the light estimator.  Other widths scale every channel count.  What differs: normals leave with
unit length, the light is pooled over whatever size the picture has, and the up-sampling ends at that size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from nsr.priors.networks.intrinsic_decomposition.illumination import COEFFICIENTS

ORIGINAL_WIDTH = 128


def conv_norm_relu(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Stem(nn.Module):
    """Picture ``[B, 3, H, W]`` -> features ``[B, width, ceil(H / 2), ceil(W / 2)]``."""

    def __init__(self, width: int, bias: bool = True):
        super().__init__()
        self.conv1 = conv_norm_relu(3, width // 2, 7, bias)
        self.conv2 = conv_norm_relu(width // 2, width, 3, bias)
        self.conv3 = nn.Conv2d(width, width, 3, stride=2, padding=1, bias=bias)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return self.conv3(self.conv2(self.conv1(picture)))


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))): pre-activation (He et al. 2016), same size and channels."""

    def __init__(self, width: int, bias: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=bias),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=bias),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.layers(features)


class ResidualStack(nn.Sequential):
    """Five residual blocks, batch normalisation, ReLU and dropout of whole channels: features of one quantity."""

    def __init__(self, width: int, bias: bool = True, drop: float = 0.0):
        blocks = (ResidualBlock(width, bias) for _ in range(5))
        super().__init__(*blocks, nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout2d(drop))


class Generator(nn.Module):
    """Features at half size -> three linear channels at full size."""

    def __init__(self, width: int, bias: bool = True):
        super().__init__()
        self.conv1 = conv_norm_relu(width, width, 1, bias)
        self.conv2 = conv_norm_relu(width, width // 2, 3, bias)
        self.conv3 = nn.Conv2d(width // 2, 3, 1, bias=bias)

    def forward(self, features: torch.Tensor, size: torch.Size) -> torch.Tensor:
        full = F.interpolate(features, size=size, mode="bilinear", align_corners=False)
        return self.conv3(self.conv2(self.conv1(full)))


class LightEstimator(nn.Module):
    """Features of picture, normal and albedo together ``[B, 3 width, h, w]`` -> 27 coefficients ``[B, 27]``."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = conv_norm_relu(3 * width, width, 1)
        self.linear = nn.Linear(width, COEFFICIENTS)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(self.conv(features).mean((2, 3)))


class ResidueHead(nn.Module):
    """Features of picture, normal and albedo together -> three linear channels at full size (95,171 at width 128).

    A shading residue in some methods, a latent light in others.
    """

    def __init__(self, width: int, bias: bool = True):
        super().__init__()
        self.layers = nn.Sequential(
            conv_norm_relu(3 * width, width, 1, bias),
            conv_norm_relu(width, width // 2, 1, bias),
            conv_norm_relu(width // 2, width // 2, 3, bias),
            nn.Conv2d(width // 2, 3, 1, bias=bias),
        )

    def forward(self, features: torch.Tensor, size: torch.Size) -> torch.Tensor:
        return self.layers(F.interpolate(features, size=size, mode="bilinear", align_corners=False))


class SfSNet(nn.Module):
    """Normals, albedo and light of one picture.

    Args:
        width: channels of the features; 128 is the original.
        light: whether there is a light estimator; bias: whether the other convolutions have one.
        drop: dropout at the end of both residual stacks; the original has none.
    """

    def __init__(self, width: int = ORIGINAL_WIDTH, light: bool = True, bias: bool = True, drop: float = 0.0):
        super().__init__()
        self.stem = Stem(width, bias)
        self.normal_stack = ResidualStack(width, bias, drop)
        self.albedo_stack = ResidualStack(width, bias, drop)
        self.normal_generator = Generator(width, bias)
        self.albedo_generator = Generator(width, bias)
        self.light_estimator = LightEstimator(width) if light else None

    def features(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``[B, 3, H, W]`` in [0, 1] -> features of picture, normal and albedo, each ``[B, width, ~H/2, ~W/2]``."""
        features = self.stem(picture)
        return features, self.normal_stack(features), self.albedo_stack(features)

    def normal(self, normal_features: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """``[B, 3, H, W]`` unit, camera frame."""
        return unit_normals(self.normal_generator(normal_features, size))


def unit_normals(vectors: torch.Tensor) -> torch.Tensor:
    """``[B, 3, H, W]`` at unit length; a zero vector becomes the normal that faces the viewer, (0, 0, -1)."""
    return F.normalize(vectors - vectors.new_tensor([0.0, 0.0, 1e-6])[:, None, None], dim=1)


def initialise(module: nn.Module) -> None:
    """He's initialisation for ReLU, as the original's; for ``Module.apply``."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
