"""From a sensor's depth and infrared picture to depth: what surrounds the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d

FOCAL_BASELINE = 21.2  # pixel metres: inverse depth in about the disparities of a small stereo camera, of any sensor
INPUTS, OUTPUTS = 5, 5
_WINDOW = 31  # pixels, of the local mean that is taken away
_NEAR, _FAR = 9, 25  # pixels, of the neighbourhoods that are searched for foreground and background
_LEVELS = 4  # of the pyramid that fills holes; sizes are multiples of 2^4
_FARTHEST = 20.0  # metres, that can be predicted


class Denoiser(nn.Module):
    """Depth in metres, and filled, from noisy depth with holes.

    Everything happens on inverse depth, in which a plane is a plane and the noise of a stereo camera is the same at
    every distance.  The network does not give a depth.  It weighs what is measured there against the nearest and the
    farthest that is measured around, so that outlines can be moved without blurring them, and adds a small correction.
    Its inputs are local deviations, which need no range of depths to be known.

    Args:
        network: ``[N, 5, H, W]`` to ``[N, 5, H, W]``.
        infrared: use the infrared picture; without, its channel is 0.
        hole_mask: show the network where holes are.
    """

    def __init__(self, network: nn.Module, infrared: bool = True, hole_mask: bool = True):
        super().__init__()
        self.network, self.infrared, self.hole_mask = network, infrared, hole_mask

    def forward(self, depth: Tensor, infrared: Tensor) -> Tensor:
        """Depth ``[N, 1, H, W]`` in metres.

        Args:
            depth: ``[N, 1, H, W]`` metres, 0 in holes; H and W are multiples of 16.
            infrared: ``[N, 1, H, W]`` in [0, 1].
        """
        known = (depth > 0).to(depth.dtype)
        disparity = known * FOCAL_BASELINE / torch.where(depth > 0, depth, torch.ones_like(depth))
        filled = fill_holes(disparity, known)
        low = -max_filter(torch.where(known > 0, -disparity, torch.full_like(disparity, -1e4)), _FAR)
        low_near = -max_filter(-filled, _NEAR)
        high_near = max_filter(filled, _NEAR)
        low = torch.where(low < 1e3, low, filled)
        mean = local_mean(filled)
        inputs = [
            _compressed(filled - mean),
            known if self.hole_mask else torch.ones_like(known),
            4 * (infrared - local_mean(infrared)) if self.infrared else torch.zeros_like(infrared),
            _compressed(low - mean),
            0.3 * torch.log(mean.clamp(min=0.1)),
        ]
        output = self.network(torch.cat(inputs, 1))
        weights = torch.softmax(output[:, :4] + _towards_measured(output), 1)
        candidates = torch.cat([filled, low_near, low, high_near], 1)
        predicted = (weights * candidates).sum(1, keepdim=True) + output[:, 4:]
        return FOCAL_BASELINE / predicted.clamp(min=FOCAL_BASELINE / _FARTHEST)


def fill_holes(values: Tensor, known: Tensor) -> Tensor:
    """Values where they are known, and averages of ever wider surroundings where not.

    Args:
        values: ``[N, 1, H, W]``, 0 where unknown; known: ``[N, 1, H, W]`` 1 or 0.
    """
    pyramid = [(values, known)]
    for _ in range(_LEVELS):
        values, known = avg_pool2d(values, 2), avg_pool2d(known, 2)
        pyramid.append((values, known))
    total = known.mean((2, 3), keepdim=True)
    filled = (values.mean((2, 3), keepdim=True) / total.clamp(min=1e-6)).expand_as(values)
    for level, (values, known) in reversed(list(enumerate(pyramid))):
        here = values / known.clamp(min=1e-6)
        filled = torch.where(known > 0, here, filled)
        if level:
            filled = interpolate(filled, scale_factor=2.0, mode="bilinear", align_corners=False)
    return filled


def max_filter(values: Tensor, size: int) -> Tensor:
    """The largest of every ``size`` x ``size`` neighbourhood; what is beyond the edge does not count."""
    tall = max_pool2d(values, (size, 1), stride=1, padding=(size // 2, 0))
    return max_pool2d(tall, (1, size), stride=1, padding=(0, size // 2))


def local_mean(values: Tensor) -> Tensor:
    """The mean of every 31 x 31 neighbourhood, of as much of it as lies inside."""
    half = _WINDOW // 2
    tall = avg_pool2d(values, (_WINDOW, 1), stride=1, padding=(half, 0), count_include_pad=False)
    return avg_pool2d(tall, (1, _WINDOW), stride=1, padding=(0, half), count_include_pad=False)


def _compressed(deviation: Tensor) -> Tensor:
    """Deviations of a tenth of a pixel (noise) and of ten (outlines) in one range."""
    size = 4 * deviation.abs()
    return 0.5 * torch.sign(deviation) * torch.log(size + (size * size + 1).sqrt())  # asinh, which ONNX lacks


def _towards_measured(output: Tensor) -> Tensor:
    """An untrained network leaves what is measured as it is."""
    return output.new_tensor([4.0, 0.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
