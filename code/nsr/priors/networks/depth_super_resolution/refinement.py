"""A last filter by the statistics of the depth field: what lies between two surfaces is moved onto one of them."""

from __future__ import annotations

import torch
from torch.nn.functional import pad, unfold

JUMP = 0.03  # a window that spans more than this share of its nearest depth may hold two surfaces
WINDOW = 5  # pixels
BETWEEN = 0.4  # least share of a window in the middle half of its range that makes it a slope; a plane has a half there


def refine_edges(depth: torch.Tensor, window: int = WINDOW, jump: float = JUMP) -> torch.Tensor:
    """Sharpen depth discontinuities; smooth surfaces stay exactly as they are.

    Interpolation leaves pixels in the air between foreground and background. Where a window's depths gather at both
    ends of their range, its middle pixel takes the mean of the end that it is nearer to (the quarter of the range
    there). The published network ends with a refinement by depth-field statistics that it describes in a figure alone;
    this one is ours.

    Args:
        depth: ``[B, 1, H, W]`` metres, without holes.
        window: pixels along its side, odd.
        jump: the least range of a window, as a share of its nearest depth, that counts as two surfaces.

    Returns:
        ``[B, 1, H, W]`` metres.
    """
    reach = window // 2
    seen = unfold(pad(depth, (reach,) * 4, mode="replicate"), window).view(len(depth), -1, *depth.shape[-2:])
    near, far = seen.amin(1, keepdim=True), seen.amax(1, keepdim=True)
    place = (seen - near) / (far - near).clamp(min=1e-9)  # of each pixel in its window's range

    def mean_of(member: torch.Tensor) -> torch.Tensor:
        return (seen * member).sum(1, keepdim=True) / member.sum(1, keepdim=True).clamp(min=1)

    front, back = place < 0.25, place > 0.75
    between = 1 - (front | back).to(depth.dtype).mean(1, keepdim=True)
    two_surfaces = (far - near > jump * near) & (between < BETWEEN)
    return torch.where(two_surfaces, torch.where(2 * depth > near + far, mean_of(back), mean_of(front)), depth)
