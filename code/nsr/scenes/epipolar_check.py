"""Do matched features lie on each other's epipolar lines?  A test of cameras that needs no masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nsr.scenes.features import Features

LOWE_RATIO = 0.75  # "Distinctive image features from scale-invariant keypoints", 2004
RANSAC_PIXELS = 1.5
FEWEST_MATCHES = 15  # of a pair, after RANSAC
LARGE_ERROR = 3.0  # pixels
SHIFT = 0.5  # pixels, by which principal points are moved to see what that does
HALF_PIXEL = (0.25, 0.8)  # pixels: a shift of this size is named,
SURE = 3.0  # where it is so many times its standard deviation
WRONG = 8.0  # times the median error: such matches are wrong
FEWEST_FOR_SHIFTS = 300  # matches


@dataclass
class Matches:
    """Features that two views share.

    Attributes:
        first, second: the views; pixels_first, pixels_second: ``[N, 2]``.
    """

    first: int
    second: int
    pixels_first: np.ndarray
    pixels_second: np.ndarray


def match_features(features: list[Features], pairs: list[tuple[int, int]]) -> list[Matches]:
    """Mutual nearest neighbours by Lowe's ratio, freed of outliers by a fundamental matrix of their own, which knows
    nothing of the cameras.  Pairs with too few are left out."""
    matcher = cv2.BFMatcher()
    found = []
    for first, second in pairs:
        a, b = features[first], features[second]
        if min(len(a.pixels), len(b.pixels)) < FEWEST_MATCHES:
            continue
        forward = _ratio_test(matcher.knnMatch(a.descriptors, b.descriptors, 2))
        backward = _ratio_test(matcher.knnMatch(b.descriptors, a.descriptors, 2))
        mutual = [(i, j) for i, j in forward.items() if backward.get(j) == i]
        if len(mutual) < FEWEST_MATCHES:
            continue
        chosen = np.array(mutual)
        pixels = a.pixels[chosen[:, 0]], b.pixels[chosen[:, 1]]
        cv2.setRNGSeed(0)
        _, inliers = cv2.findFundamentalMat(*pixels, cv2.FM_RANSAC, RANSAC_PIXELS, 0.999)
        if inliers is not None and inliers.sum() >= FEWEST_MATCHES:
            kept = inliers.ravel() > 0
            found.append(Matches(first, second, pixels[0][kept], pixels[1][kept]))
    return found


def fundamental_matrix(first: int, second: int, intrinsics: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """``[3, 3]`` F that takes homogeneous pixels q of the first view to their lines ``F q`` in the second.

    Args:
        intrinsics: ``[V, 3, 3]``; poses: ``[V, 4, 4]`` camera to world.
    """
    relative = np.linalg.inv(poses[second]) @ poses[first]
    x, y, z = relative[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    essential = cross @ relative[:3, :3]
    return np.linalg.inv(intrinsics[second]).T @ essential @ np.linalg.inv(intrinsics[first])


def epipolar_errors(matches: Matches, intrinsics: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Distances ``[N]`` in pixels of matches from each other's epipolar lines, the mean of the two views'.

    Args:
        intrinsics: ``[V, 3, 3]``; poses: ``[V, 4, 4]`` camera to world.
    """
    fundamental = fundamental_matrix(matches.first, matches.second, intrinsics, poses)
    one = np.column_stack([matches.pixels_first, np.ones(len(matches.pixels_first))])
    other = np.column_stack([matches.pixels_second, np.ones(len(matches.pixels_second))])
    in_second, in_first = one @ fundamental.T, other @ fundamental
    residual = np.abs((other * in_second).sum(axis=1))
    norms = [np.maximum(np.linalg.norm(lines[:, :2], axis=1), 1e-12) for lines in (in_first, in_second)]
    return (residual / norms[0] + residual / norms[1]) / 2


def check_epipolar(matches: list[Matches], intrinsics: np.ndarray, poses: np.ndarray) -> list[tuple[str, str]]:
    """Judge cameras by matched features, and try principal points that are half a pixel elsewhere.

    Returns:
        judgements: "error", "warning" or "information" and one line each; none where nothing matches.
    """
    if not matches:
        return [
            ("information", "no features match between views (little texture): the cameras are not checked by them")
        ]
    errors = [epipolar_errors(pair, intrinsics, poses) for pair in matches]
    together = np.concatenate(errors)
    median, count = float(np.median(together)), len(together)
    judgements = []
    if median > LARGE_ERROR:
        line = f"{count} matched features miss their epipolar lines by {median:.1f} pixels (median): "
        line += "the cameras are rough, or not these pictures'; --train_cameras may help"
        judgements.append(("warning", line))
    else:
        line = f"{count} matched features of {len(matches)} pairs of views lie {median:.2f} pixels (median) off"
        judgements.append(("information", f"{line} their epipolar lines"))
        views = sorted({view for pair in matches for view in (pair.first, pair.second)})
        for view in views:
            own = [error for pair, error in zip(matches, errors, strict=True) if view in (pair.first, pair.second)]
            # A bad camera spoils all its pairs, and its neighbours' only in part.
            least = min(float(np.median(error)) for error in own)
            if len(own) > 1 and least > max(LARGE_ERROR, 4 * median):
                judgements.append(
                    ("warning", f"the camera of view {view} is off: its features miss by {least:.1f} pixels")
                )
        judgements += _half_pixel(matches, intrinsics, poses)
    return judgements


def _half_pixel(matches, intrinsics, poses) -> list[tuple[str, str]]:
    """A principal point off by half a pixel in every view is what a mix-up of pixel conventions makes."""
    if sum(len(pair.pixels_first) for pair in matches) < FEWEST_FOR_SHIFTS:
        return []
    shift, deviation = principal_point_shift(matches, intrinsics, poses)
    least, most = HALF_PIXEL
    if not (least <= abs(shift) <= most and abs(shift) > SURE * deviation):
        return []
    return [
        (
            "warning",
            f"pixels may be off by half: matched features agree best with principal points moved by {shift:+.2f} "
            f"(+-{deviation:.2f}) pixels; pixel (0, 0) must be the centre of the first pixel",
        )
    ]


def principal_point_shift(
    matches: list[Matches], intrinsics: np.ndarray, poses: np.ndarray
) -> tuple[float, float]:
    """By how much all principal points, in u and v alike, are to move for matches to lie nearest to their epipolar
    lines, in pixels, and its standard deviation.

    The squared error is a parabola of so small a move, and three of its points give the lowest; matches that are far
    off at all three are wrong, and do not count.  The deviation is the jackknife's over pairs of views (Efron and
    Stein 1981), whose matches are not independent.  Both are infinite where the parabola has no lowest point.
    """
    errors = []
    for shift in (-SHIFT, 0.0, SHIFT):
        moved = intrinsics.copy()
        moved[:, :2, 2] += shift
        errors.append([epipolar_errors(pair, moved, poses) for pair in matches])
    least = [np.minimum.reduce(pair) for pair in zip(*errors, strict=True)]
    limit = WRONG * float(np.median(np.concatenate(least)))
    sums = np.array(
        [[(pair[best <= limit] ** 2).sum() for pair, best in zip(each, least, strict=True)] for each in errors]
    )
    below, here, above = np.column_stack([sums.sum(axis=1, keepdims=True), sums.sum(axis=1, keepdims=True) - sums])
    bend = below - 2 * here + above
    if (bend <= 0).any():
        return np.inf, np.inf
    lowest = SHIFT * (below - above) / (2 * bend)
    left_out = lowest[1:]
    deviation = np.sqrt((len(left_out) - 1) / len(left_out) * ((left_out - left_out.mean()) ** 2).sum())
    return float(lowest[0]), float(deviation)


def _ratio_test(neighbours) -> dict[int, int]:
    return {
        pair[0].queryIdx: pair[0].trainIdx
        for pair in neighbours
        if len(pair) == 2 and pair[0].distance < LOWE_RATIO * pair[1].distance
    }
