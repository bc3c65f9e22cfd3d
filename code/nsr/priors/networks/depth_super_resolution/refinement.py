"""A last filter by the statistics of the depth field: what lies between two surfaces is moved onto one of them."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d, max_pool2d

JUMP = 0.03  # a window that spans more than this share of its depth holds two surfaces
WINDOW = 5  # pixels


def refine_edges(depth: torch.Tensor, window: int = WINDOW, jump: float = JUMP) -> torch.Tensor:
    """Sharpen depth discontinuities; smooth surfaces stay exactly as they are.

    Interpolation leaves pixels in the air between foreground and background. A window's depths are split at the
    middle of their range, and a pixel of a window that holds two surfaces takes the mean of the side it is nearer to.
    The published network ends with a refinement by depth-field statistics that it describes in a figure alone; this
    one is ours.

    Args:
        depth: ``[B, 1, H, W]`` metres, without holes.
        window: pixels along its side, odd.
        jump: the least range of a window, as a share of its nearest depth, that counts as two surfaces.

    Returns:
        ``[B, 1, H, W]`` metres.
    """
    reach = window // 2
    far = max_pool2d(depth, window, 1, reach)
    near = -max_pool2d(-depth, window, 1, reach)
    middle = (near + far) / 2
    behind = depth > middle

    def mean_of(member: torch.Tensor) -> torch.Tensor:
        share = avg_pool2d(member, window, 1, reach)
        return avg_pool2d(depth * member, window, 1, reach) / share.clamp(min=1e-6)

    # Of the pixels in the air the outer ones are few: each side's mean is taken over its half that is farthest from
    # the other side.
    back = mean_of((depth > middle + (far - middle) / 2).to(depth.dtype))
    front = mean_of((depth < middle - (middle - near) / 2).to(depth.dtype))
    return torch.where(far - near > jump * near, torch.where(behind, back, front), depth)
