"""Which views to compare a view with: near enough to look alike, far enough apart to tell depth."""

from __future__ import annotations

import math

import torch

from nsr.scenes.cameras import Cameras

BEST_ANGLE = 10.0  # degrees between the rays of two views at a point
NARROWER = 3.0  # standard deviation of the score below the best angle: a short baseline tells no depth
WIDER = 20.0  # above it: what is seen too slantwise differs
MOST_POINTS = 3000


def choose_source_views(
    cameras: Cameras, sizes: list[tuple[int, int]], points: torch.Tensor, normals: torch.Tensor, count: int
) -> torch.Tensor:
    """The best source views of every view, ``[V, count]`` int64, best first; -1 where there are no more.

    A pair's score is a sum over the points that both see (inside the frame, facing the camera; what hides what is not
    asked) of a piecewise Gaussian of the angle between the two rays (MVSNet, Yao et al. 2018, section 4.1, with a wider
    one).  Pairs that share no point are none.

    Args:
        cameras: V views; sizes: (H, W) of each.
        points, normals: ``[N, 3]`` roughly on the surface, unit normals pointing outward.
        count: how many at most.
    """
    if len(points) > MOST_POINTS:
        every = math.ceil(len(points) / MOST_POINTS)
        points, normals = points[::every], normals[::every]
    views = len(cameras)
    device = points.device
    seen = torch.empty(views, len(points), dtype=torch.bool, device=device)
    towards = torch.empty(views, len(points), 3, dtype=points.dtype, device=device)
    for view, (height, width) in enumerate(sizes):
        pixels, depth = cameras.project(torch.full((len(points),), view, device=device), points)
        towards[view] = torch.nn.functional.normalize(cameras.centres[view] - points, dim=1)
        limit = torch.tensor([width - 1, height - 1], device=device)
        inside = (depth > 0) & (pixels >= 0).all(1) & (pixels <= limit).all(1)
        seen[view] = inside & ((towards[view] * normals).sum(1) > 0.1)
    chosen = torch.full((views, count), -1, dtype=torch.int64, device=device)
    for view in range(views):
        cosine = (towards * towards[view]).sum(-1).clamp(-1, 1)
        beyond = torch.rad2deg(torch.acos(cosine)) - BEST_ANGLE
        spread = torch.where(beyond < 0, NARROWER, WIDER)
        score = (torch.exp(-0.5 * (beyond / spread) ** 2) * (seen & seen[view])).sum(1)
        score[view] = 0
        order = score.argsort(descending=True, stable=True)[:count]
        chosen[view, : len(order)] = torch.where(score[order] > 0, order, -1)
    return chosen
