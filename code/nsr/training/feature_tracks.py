"""The same places of the object in several photographs: matched features, joined from view to view."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from nsr.scenes.epipolar_check import fundamental_matrix
from nsr.scenes.features import Features, near_pairs

LARGEST_SIDE = 1600  # pixels; larger pictures are looked at smaller
FEATURES = 4000  # a view, at most
CONTRAST = 0.02  # half of what is usual: masks leave few features, and cameras sort matches out
NEIGHBOURS = 6  # views that a view is matched with
RATIO = 0.8  # of the distances to the best and to the second best match: Lowe's
MOST_UNLIKE = 0.5  # squared distance between the unit descriptors of a match


@dataclass
class FeatureTracks:
    """Observations of points whose places are not known.

    Attributes:
        points: ``[N]`` int64, which point is seen, from 0 up; views: ``[N]`` int64, by which camera, once each; pixels:
            ``[N, 2]`` (u, v).
    """

    points: np.ndarray
    views: np.ndarray
    pixels: np.ndarray

    @property
    def count(self) -> int:
        """Of points."""
        return int(self.points.max()) + 1 if len(self.points) else 0


@dataclass
class _Match:
    first: int
    second: int
    of_first: np.ndarray
    of_second: np.ndarray
    unlikeness: np.ndarray


def features_of(picture: np.ndarray, mask: np.ndarray) -> Features:
    """Features ``[N]`` of a picture ``[H, W, 3]`` uint8 inside its mask ``[H, W]`` bool, descriptors by their square
    roots (Arandjelovic and Zisserman, "Three things everyone should know to improve object retrieval", 2012)."""
    shrink = LARGEST_SIDE / max(mask.shape)
    if shrink < 1:
        picture = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    features = Features(picture, mask, FEATURES, CONTRAST)
    if shrink < 1:
        features.pixels = (features.pixels + 0.5) / shrink - 0.5
    sums = features.descriptors.sum(axis=1, keepdims=True)
    features.descriptors = np.sqrt(features.descriptors / np.maximum(sums, 1e-9))
    return features


def find_tracks(features: list[Features], intrinsics: np.ndarray, poses: np.ndarray, reach: float) -> FeatureTracks:
    """Match features of neighbouring views near each other's epipolar lines, and join matches to tracks.

    Matches are mutually the best and clearly better than the second best among what lies near the line.  They are
    joined from the most alike on, and not where a track would see one view twice.

    Args:
        features: of V views; intrinsics: ``[V, 3, 3]``; poses: ``[V, 4, 4]`` camera to world, as far as they are known.
        reach: how far from the line a match may lie, in pixels.
    """
    pairs = near_pairs(poses, NEIGHBOURS)
    matches = [_match(features, pair, fundamental_matrix(*pair, intrinsics, poses), reach) for pair in pairs]
    return _joined(features, matches)


def _match(features: list[Features], pair: tuple[int, int], fundamental: np.ndarray, reach: float) -> _Match:
    a, b = (features[view] for view in pair)
    none = np.zeros(0, dtype=np.int64)
    if min(len(a.pixels), len(b.pixels)) < 2:
        return _Match(*pair, none, none, np.zeros(0))
    one, other = (np.column_stack([each.pixels, np.ones(len(each.pixels))]) for each in (a, b))
    distance = torch.maximum(_distances(one @ fundamental.T, other), _distances(other @ fundamental, one).T)
    unlike = 2 - 2 * torch.from_numpy(a.descriptors) @ torch.from_numpy(b.descriptors).T
    unlike[distance > reach] = torch.inf
    forward, best = unlike.topk(2, dim=1, largest=False)
    backward, best_back = unlike.topk(2, dim=0, largest=False)
    index = torch.arange(len(one))
    there = best[:, 0]
    clear = (forward[:, 0] < RATIO**2 * forward[:, 1]) & (backward[0] < RATIO**2 * backward[1])[there]
    kept = clear & (forward[:, 0] < MOST_UNLIKE) & (best_back[0][there] == index)
    return _Match(*pair, index[kept].numpy(), there[kept].numpy(), forward[kept, 0].double().numpy())


def _distances(lines: np.ndarray, pixels: np.ndarray) -> torch.Tensor:
    """``[N, M]`` distances in pixels of homogeneous ``pixels [M, 3]`` from ``lines [N, 3]``."""
    lines = lines / np.maximum(np.linalg.norm(lines[:, :2], axis=1, keepdims=True), 1e-12)
    return (torch.from_numpy(lines).float() @ torch.from_numpy(pixels).float().T).abs()


def _joined(features: list[Features], matches: list[_Match]) -> FeatureTracks:
    starts = np.cumsum([0, *(len(each.pixels) for each in features)])
    views = np.repeat(np.arange(len(features)), np.diff(starts))
    pixels = np.concatenate([each.pixels for each in features])
    first = np.concatenate([starts[match.first] + match.of_first for match in matches] or [views[:0]])
    second = np.concatenate([starts[match.second] + match.of_second for match in matches] or [views[:0]])
    order = np.argsort(np.concatenate([match.unlikeness for match in matches] or [pixels[:0, 0]]), kind="stable")
    tracks: dict[int, dict[int, int]] = {}  # by one of its features: view -> feature
    owner: dict[int, int] = {}
    for one, other in zip(first[order].tolist(), second[order].tolist(), strict=True):
        keys = owner.get(one, one), owner.get(other, other)
        if keys[0] == keys[1]:
            continue
        larger, smaller = (tracks.get(key, {int(views[key]): key}) for key in keys)
        if larger.keys() & smaller.keys():
            continue
        tracks.pop(keys[1], None)
        tracks[keys[0]] = larger | smaller
        owner[one] = keys[0]
        owner.update(dict.fromkeys(smaller.values(), keys[0]))
    seen = [(point, feature) for point, track in enumerate(tracks.values()) for feature in track.values()]
    points, chosen = np.array(seen, dtype=np.int64).reshape(-1, 2).T
    return FeatureTracks(points, views[chosen], pixels[chosen])
