"""Views hold each other's priors to account: a value that the neighbours contradict loses confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nsr.priors.bundle import METRIC, PriorBundle
from nsr.scenes.cameras import Cameras

_DOUBT = 0.5  # votes that each value has for itself, before others vote
_HIDDEN = 0.25  # of a vote against: something nearer is in the way there, which may be so, or the value is too far


def gate_by_neighbours(
    bundles: dict[int, PriorBundle],
    cameras: Cameras,
    masks: Sequence[torch.Tensor],
    neighbours: int,
    depth_tolerance: float,
    normal_tolerance: float,
) -> dict[int, PriorBundle]:
    """The bundles with their confidences times how far the views around agree.

    Every metric depth is carried, as a point, into the nearest views.  There it is confirmed (their depth is the same),
    contradicted (they see past it, or nothing of the object at all), or hidden behind something nearer.  With s, c
    and h such votes, the factor is ``(s + 1/2) / (s + c + h/4 + 1/2)``.  A normal is compared where its depth is
    confirmed.  Affine depths, and normals without a metric depth, cannot be carried and stay as they are.

    Args:
        bundles: by index of the view; cameras, masks: of all views, masks ``[H, W]`` bool.
        neighbours: how many views each is compared with, by the angle between the directions that they look from.
        depth_tolerance: ray lengths closer than this are the same, units of the normalised frame.
        normal_tolerance: normals closer than this are the same, degrees.
    """
    cameras = cameras.to("cpu", torch.float32)
    carried = [view for view, bundle in bundles.items() if bundle.depth is not None and bundle.depth_kind == METRIC]
    from_where = torch.nn.functional.normalize(cameras.centres[carried], dim=1)
    nearest = (from_where @ from_where.T).fill_diagonal_(-2).argsort(dim=1, descending=True)[:, :neighbours]
    least_cosine = float(np.cos(np.radians(normal_tolerance)))
    spans = {view: _depth_spans(bundles[view]) for view in carried}
    grown = {view: _largest_around(masks[view].cpu().float()) > 0 for view in carried}
    gated = dict(bundles)
    for place, view in enumerate(carried):
        others = [carried[other] for other in nearest[place].tolist() if other != place]
        if not others:
            continue
        mine = bundles[view]
        rows, columns = np.nonzero(mine.depth_confidence > 0)
        pixels = torch.from_numpy(np.stack([columns, rows], axis=1)).to(torch.float32)
        origins, directions = cameras.rays(torch.full((len(rows),), view), pixels)
        points = origins + torch.from_numpy(mine.depth[rows, columns]).unsqueeze(1) * directions
        normals = None if mine.normal is None else torch.from_numpy(mine.normal[rows, columns])
        known = None if normals is None else torch.from_numpy(mine.normal_confidence[rows, columns]) > 0
        same, against, hidden, alike, unlike = torch.zeros(5, len(rows))
        for other in others:
            theirs = bundles[other]
            column, row, seen = _pixels(cameras, other, points, theirs.size)
            length = (points - cameras.centres[other]).norm(dim=1)
            least, most = (values[row, column] for values in spans[other])
            past, behind = least > length + depth_tolerance, most < length - depth_tolerance
            has_depth = seen & (most >= least)
            confirmed = has_depth & ~past & ~behind
            same += confirmed
            against += has_depth & past
            against += seen & (most < least) & ~grown[other][row, column]
            hidden += has_depth & behind
            if normals is not None and theirs.normal is not None:
                normal, sure = (torch.from_numpy(v)[row, column] for v in (theirs.normal, theirs.normal_confidence))
                compared = confirmed & known & (sure > 0)
                close = (normal * normals).sum(1) >= least_cosine
                alike += compared & close
                unlike += compared & ~close
        changes = {"depth_confidence": _lowered(mine.depth_confidence, rows, columns, same, against + _HIDDEN * hidden)}
        if normals is not None:
            changes["normal_confidence"] = _lowered(mine.normal_confidence, rows, columns, alike, unlike)
        gated[view] = replace(mine, **changes)
    return gated


def _pixels(
    cameras: Cameras, view: int, points: torch.Tensor, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Column and row of the view's nearest pixel to each point, and whether the view has one."""
    pixels, depth = cameras.project(torch.full((len(points),), view), points)
    pixels = torch.where((depth > 0).unsqueeze(1), pixels, torch.full_like(pixels, -1.0))
    column, row = pixels.clamp(-1, max(size)).round().long().unbind(1)
    seen = (column >= 0) & (row >= 0) & (column < size[1]) & (row < size[0])
    return column.clamp(0, size[1] - 1), row.clamp(0, size[0] - 1), seen


def _depth_spans(bundle: PriorBundle) -> tuple[torch.Tensor, torch.Tensor]:
    """Least and most depth ``[H, W]`` of a pixel and those around it: a point falls between them, and a slanted surface
    changes by more than the tolerance from one to the next.  Infinity and its negative where there is none."""
    depth = torch.from_numpy(bundle.depth)
    known = torch.from_numpy(bundle.depth_confidence) > 0
    nothing = torch.full_like(depth, -torch.inf)
    most = _largest_around(torch.where(known, depth, nothing))
    return -_largest_around(torch.where(known, -depth, nothing)), most


def _largest_around(values: torch.Tensor) -> torch.Tensor:
    """``[H, W]``: the largest of 3 x 3 values."""
    return torch.nn.functional.max_pool2d(values[None, None], 3, stride=1, padding=1)[0, 0]


def _lowered(
    confidence: np.ndarray, rows: np.ndarray, columns: np.ndarray, votes_for: torch.Tensor, votes_against: torch.Tensor
) -> np.ndarray:
    factor = (votes_for + _DOUBT) / (votes_for + votes_against + _DOUBT)
    lowered = confidence.copy()
    lowered[rows, columns] *= factor.numpy()
    return lowered
