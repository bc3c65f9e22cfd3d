"""The two networks that can synthesise a shifted view: SRCNN and VDSR."""

from __future__ import annotations

from torch import nn

FULL_WIDTH = 64
VDSR_MIDDLE_LAYERS = 8


def srcnn(width: int = FULL_WIDTH, drop: float = 0.0) -> nn.Sequential:
    """SRCNN (Dong et al. 2014, the 9-5-5 variant): ``[B, 1, H, W]`` to ``[B, 1, H, W]``; 57,281 parameters at width 64.

    A pixel of the output sees 17 x 17 of the input.
    """
    return nn.Sequential(
        nn.Conv2d(1, width, 9, padding=4),
        _activation(drop),
        nn.Conv2d(width, width // 2, 5, padding=2),
        _activation(drop),
        nn.Conv2d(width // 2, 1, 5, padding=2),
    )


def vdsr(width: int = FULL_WIDTH, drop: float = 0.0) -> nn.Sequential:
    """VDSR (Kim et al. 2016) with ten layers: ``[B, 1, H, W]`` to ``[B, 1, H, W]``; 296,064 parameters at width 64.

    Without biases it commutes with scaling: twice as deep a step gives twice the answer. A pixel of the output sees
    21 x 21 of the input.
    """
    layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1, bias=False), _activation(drop)]
    for _ in range(VDSR_MIDDLE_LAYERS):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), _activation(drop)]
    layers.append(nn.Conv2d(width, 1, 3, padding=1, bias=False))
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(*layers)


def _activation(drop: float) -> nn.Module:
    """ReLU, in training followed by the loss of whole channels with probability ``drop``."""
    return nn.Sequential(nn.ReLU(inplace=True), nn.Dropout2d(drop)) if drop else nn.ReLU(inplace=True)


UNITS = {"srcnn": srcnn, "vdsr": vdsr}
