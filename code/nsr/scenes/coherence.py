"""Do the masks agree with each other?  Every pair of views is asked, and views that most others contradict are named.

A ray through a mask's outline touches the object, so at least one of its points must lie inside every other mask that
sees it (the epipolar tangency of Hernandez et al., "Silhouette coherence for camera calibration under circular motion",
2007, as a test of inclusion).  Where it lies inside none, one of the two masks is wrong, or a camera, or the object has
moved.  A pair cannot say which; all pairs together mostly can: what contradicts the larger part is wrong.
"""

from __future__ import annotations

import math

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from nsr.scenes.cameras import Cameras
from nsr.scenes.silhouettes import Silhouettes

RAYS = 96  # of each view
SAMPLES = 64  # of each ray: at most 0.032 apart, so that a miss is overestimated by half of that
SLACK = 0.016  # misses below this are the samples' and the outlines' own, units of the normalised frame
DEPTHS = (1.5, 3.5)  # how far inside the outline the rays are taken, pixels
FEWEST_VIEWS = 5  # fewer cannot tell who is wrong
SEPARATION = 3.0  # contradictions between the parts, against those within the larger one
LEAST_MAJORITY = 0.55  # of the views
LARGEST_MINORITY = 0.25  # of the views, for views that are wrong each in its own way
FLOOR = 0.0005  # contradictions that are nobody's fault


@dataclass
class Coherence:
    """What the comparison of all pairs of V views found.

    Attributes:
        contradictions: ``[V, V]``: the share of view i's outline rays that miss view j's mask.
        trusted: ``[V]`` bool: the largest part of the views that is of one mind.
        misses: ``[V]``, units of the normalised frame: by how much each view's mask leaves out what the trusted ones
            say is there, at its worst; 0 for the trusted.
        noise: 99th percentile of the misses among the trusted views: what rough cameras and masks account for.
    """

    contradictions: np.ndarray
    trusted: np.ndarray
    misses: np.ndarray
    noise: float


def compare_masks(
    masks: list[torch.Tensor], cameras: Cameras, silhouettes: Silhouettes, camera_noise: float = 0.0
) -> Coherence:
    """Compare all pairs of views.

    Args:
        masks: per view ``[H, W]`` bool; cameras, silhouettes: of the same views.
        camera_noise: how far cameras may misplace what they see; misses below it are forgiven.
    """
    points = torch.cat([_ray_points(mask, cameras, view) for view, mask in enumerate(masks)])
    misses = _ray_misses(points, silhouettes)
    limit = SLACK + camera_noise
    contradictions = (misses > limit).float().mean(2).numpy()
    trusted = consistent_part(contradictions + contradictions.T)
    noise = float(np.quantile(misses[trusted][:, trusted].numpy(), 0.99))
    return Coherence(contradictions, trusted, _left_out(points, silhouettes, trusted, limit), noise)


def consistent_part(disagreement: np.ndarray) -> np.ndarray:
    """``[V]`` bool: the views left after those that contradict them are taken away; all, where none stand out.

    Two kinds of split are tried.  For single wrong masks: the view that disagrees most with those left is taken away,
    over and over.  For scenes made of two that do not quite fit: the split with most of the disagreement between its
    sides (a maximum cut).  Of all these the one is taken whose smaller side contradicts the larger one most, measured
    by how much the larger one contradicts itself; if that is more than one finds among equals, and if the smaller side
    is small, or of one mind too, so that what disagrees is not merely everything.

    Args:
        disagreement: ``[V, V]``, symmetric, not negative, 0 on the diagonal.
    """
    count = len(disagreement)
    best, best_ratio = np.ones(count, dtype=bool), SEPARATION
    if count < FEWEST_VIEWS:
        return best
    for kept in [*_without_the_worst(disagreement), _larger_side_of_cut(disagreement)]:
        if kept.all() or kept.sum() <= LEAST_MAJORITY * count:
            continue
        between = disagreement[np.ix_(kept, ~kept)].mean()
        ratio = between / (_mean_of_pairs(disagreement, kept) + FLOOR)
        few = LARGEST_MINORITY * count >= count - kept.sum()
        if ratio > best_ratio and (few or between > SEPARATION * _mean_of_pairs(disagreement, ~kept)):
            best, best_ratio = kept, ratio
    return best


def _mean_of_pairs(disagreement: np.ndarray, chosen: np.ndarray) -> float:
    count = int(chosen.sum())
    return float(disagreement[np.ix_(chosen, chosen)].sum()) / max(count * (count - 1), 1)


def _without_the_worst(disagreement: np.ndarray) -> Iterator[np.ndarray]:
    kept = np.ones(len(disagreement), dtype=bool)
    while 2 * kept.sum() > len(kept):
        kept[np.where(kept, disagreement @ kept, -1.0).argmax()] = False
        yield kept.copy()


def _larger_side_of_cut(disagreement: np.ndarray) -> np.ndarray:
    """Started from the eigenvector of the least eigenvalue, and improved by moving single views."""
    side = np.linalg.eigh(disagreement)[1][:, 0] > 0
    for _ in range(len(side) ** 2):
        gain = np.where(side[:, None] == side, disagreement, -disagreement).sum(1)  # by changing sides
        mover = gain.argmax()
        if gain[mover] <= 1e-12:
            break
        side[mover] = ~side[mover]
    # Views that do not contradict a side fit it as well.
    sides = [chosen | (disagreement @ chosen <= FLOOR * max(chosen.sum(), 1)) for chosen in (side, ~side)]
    return max(sides, key=np.sum)


def _ray_misses(points: torch.Tensor, silhouettes: Silhouettes) -> torch.Tensor:
    """``[V, V, RAYS]``: how far outside view j's mask the best point of view i's rays stays; 0 where one is inside."""
    views = silhouettes.views
    misses = torch.zeros(views, views, RAYS, device=points.device)
    for view in range(views):
        for first in range(0, views, 16):  # so many views' points at once
            rows = slice(first, min(first + 16, views))
            distance = _known_distance(silhouettes, view, points[rows].reshape(-1, 3))
            misses[rows, view] = distance.view(-1, RAYS, SAMPLES).amin(2).clamp_min(0)
    return misses.cpu()


def _left_out(points: torch.Tensor, silhouettes: Silhouettes, trusted: np.ndarray, limit: float) -> np.ndarray:
    """``[V]``: by how much each distrusted mask misses the trusted views' rays, at worst.

    Only the points of a ray that lie inside all trusted masks count: there it touches the object, while elsewhere it
    may run into a wrong mask by chance.
    """
    left_out = np.zeros(len(trusted))
    if trusted.all():
        return left_out
    candidates = points[torch.from_numpy(trusted)].reshape(-1, 3)
    possible = torch.ones(len(candidates), dtype=torch.bool, device=points.device)
    for view in np.flatnonzero(trusted):
        possible &= _known_distance(silhouettes, view, candidates) <= limit
    touching = possible.view(-1, SAMPLES).any(1)
    for view in np.flatnonzero(~trusted):
        distance = _known_distance(silhouettes, view, candidates)
        nearest = torch.where(possible, distance, math.inf).view(-1, SAMPLES).amin(1)[touching]
        left_out[view] = float(nearest.clamp_min(0).max()) if len(nearest) else math.inf
    return left_out


def _known_distance(silhouettes: Silhouettes, view: int, points: torch.Tensor) -> torch.Tensor:
    """``[N]`` signed distance; 0 where the view sees nothing and so cannot object."""
    distance, inside = silhouettes.distance(view, points)
    return torch.where(inside, distance, torch.zeros_like(distance))


def _ray_points(mask: torch.Tensor, cameras: Cameras, view: int) -> torch.Tensor:
    """``[1, RAYS, SAMPLES, 3]`` points inside the unit sphere, on rays just inside a mask's outline."""
    solid = mask.cpu().numpy()
    depth = ndimage.distance_transform_edt(np.pad(solid, 1, mode="edge"))[1:-1, 1:-1]
    rim = (depth > DEPTHS[0]) & (depth < DEPTHS[1])
    found = np.argwhere(rim if rim.any() else solid)
    reference = cameras.poses
    if len(found) == 0:  # an empty mask has nothing to say; the origin contradicts nobody who sees the object
        return torch.zeros(1, RAYS, SAMPLES, 3, dtype=reference.dtype, device=reference.device)
    chosen = found[np.linspace(0, len(found) - 1, RAYS).round().astype(int)]
    pixels = torch.from_numpy(chosen[:, ::-1].copy()).to(reference)
    origins, directions = cameras.rays(torch.full((RAYS,), view, device=reference.device), pixels)
    middle = -(origins * directions).sum(1)
    half = (1 - (origins * origins).sum(1) + middle**2).clamp_min(0).sqrt()
    steps = torch.linspace(-1, 1, SAMPLES, device=reference.device, dtype=reference.dtype)
    along = (middle.unsqueeze(1) + half.unsqueeze(1) * steps).clamp_min(0)
    return (origins.unsqueeze(1) + along.unsqueeze(2) * directions.unsqueeze(1)).unsqueeze(0)
