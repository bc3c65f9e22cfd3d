"""Maps of one view hold each other to account: what they and the photograph contradict loses confidence.

Nothing of this needs another view, so that it works with few of them.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch

from nsr.priors.bundle import METRIC, PriorBundle
from nsr.priors.conversion import metric_points
from nsr.scenes.cameras import Cameras

_SPECK = 0.03  # of a view's known pixels: a smaller piece that edges cut off from all around it is doubtful, ...
_SPECK_TRUST = 0.2  # ... and keeps this part of its confidence
_WINDOW = 5  # pixels, over which a plane is fitted to the depth
_SURER = 3.0  # times: by so much another window must be, to take the place of a pixel's own
_PLANE_NOISE = 0.5  # of the tolerance: a plane whose normal is less sure than this tells nothing
_DARKEST = 0.02  # of colours whose logarithms are compared: darker ones count as this


def gate_within_view(
    bundle: PriorBundle,
    cameras: Cameras,
    view: int,
    photograph: torch.Tensor,
    depth_tolerance: float,
    normal_tolerance: float,
    colour_tolerance: float,
) -> PriorBundle:
    """The bundle with its confidences lowered where it contradicts itself or its photograph.

    * A small piece of a metric depth or of the normals that steps (of more than the tolerance) cut off from
      everything around it is a speck (the peak filter of Hirschmueller 2008, section 2.6).
    * Normals are compared with those of planes fitted to the depth, where these are sure enough.
    * Albedo times shading is the photograph, up to a colour of the view.

    Args:
        cameras: of all views; view: the bundle's index among them; photograph: its image ``[H, W, 3]`` uint8.
        depth_tolerance: steps between neighbouring pixels that are still one surface, units of the normalised frame.
        normal_tolerance: degrees; colour_tolerance: of logarithms: such an error halves the confidence.
    """
    changes: dict[str, np.ndarray] = {}
    if bundle.depth is not None and bundle.depth_kind == METRIC:
        known = bundle.depth_confidence > 0
        changes["depth_confidence"] = bundle.depth_confidence * _specks(bundle.depth[..., None], known, depth_tolerance)
    if bundle.normal is not None:
        known = bundle.normal_confidence > 0
        step = 2 * np.sin(np.radians(normal_tolerance) / 2)
        changes["normal_confidence"] = bundle.normal_confidence * _specks(bundle.normal, known, step)
        if "depth_confidence" in changes:
            points = metric_points(bundle, cameras, view)
            normal, deviation = plane_normals(points, bundle.depth_confidence > 0)
            angle = np.degrees(np.arccos(np.abs((normal * bundle.normal).sum(-1)).clip(0, 1)))
            compared = deviation < _PLANE_NOISE * normal_tolerance
            changes["normal_confidence"] *= np.where(compared, _falling(angle, normal_tolerance), 1)
    if bundle.albedo is not None and bundle.shading is not None:
        known = (bundle.albedo_confidence > 0) & (bundle.shading_confidence > 0)
        trust = _falling(_colour_error(bundle, photograph.cpu().numpy() / 255, known), colour_tolerance)
        for name in ("albedo_confidence", "shading_confidence"):
            changes[name] = np.where(known, getattr(bundle, name) * trust, getattr(bundle, name))
    return replace(bundle, **{name: values.astype(np.float32) for name, values in changes.items()})


def _falling(error: np.ndarray, tolerance: float) -> np.ndarray:
    """1 at no error, a half at ``tolerance``, little beyond (Geman and McClure 1987)."""
    return 1 / (1 + (error / tolerance) ** 4)


def _colour_error(bundle: PriorBundle, photograph: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``[H, W]``: largest difference over channels of the logarithms of albedo times shading and of the photograph,
    after the view's median."""
    product = bundle.albedo * bundle.shading
    difference = np.log(product.clip(_DARKEST)) - np.log(photograph.clip(_DARKEST))
    if not known.any():
        return np.zeros(known.shape)
    return np.abs(difference - np.median(difference[known], axis=0)).max(-1)


def _specks(values: np.ndarray, known: np.ndarray, step: float) -> np.ndarray:
    """``[H, W]`` factors: ``_SPECK_TRUST`` in small pieces, else 1.

    Args:
        values: ``[H, W, C]``; known: ``[H, W]`` bool; step: between neighbours, above which they are of two pieces.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pixels = np.arange(known.size).reshape(known.shape)
    edges = []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        near = np.linalg.norm(values[here] - values[there], axis=-1) <= step
        joined = near & known[here] & known[there]
        edges.append(np.stack([pixels[here][joined], pixels[there][joined]]))
    rows, columns = np.concatenate(edges, axis=1)
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(known.size, known.size))
    _, piece = connected_components(graph, directed=False)
    size = np.bincount(piece, weights=known.ravel())[piece].reshape(known.shape)
    return np.where(known & (size < _SPECK * known.sum()), _SPECK_TRUST, 1.0)


def plane_normals(points: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals, up to their sign, of planes fitted around each pixel, and how far they may be off.

    Of the windows that a pixel lies in, the one about it and those shifted by half a width, the flattest counts
    where it is by far the flattest: beside a step that is the plane of the pixel's own side (Bobick and Intille, "Large
    occlusion stereo", 1999).

    Args:
        points: ``[H, W, 3]``; known: ``[H, W]`` bool.

    Returns:
        ``[H, W, 3]`` unit normals, and their standard deviation ``[H, W]`` in degrees from the points' distances to the
        plane; infinite where fewer than half of the window are known.
    """
    weight = known.astype(np.float64)
    points = np.where(known[..., None], points, 0).astype(np.float64)

    def summed(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (_WINDOW, _WINDOW), normalize=False, borderType=cv2.BORDER_CONSTANT)

    count = summed(weight)
    mean = summed(points) / np.maximum(count, 1)[..., None]
    squares = np.stack([summed(points[..., i] * points[..., j]) for i in range(3) for j in range(3)], axis=-1)
    covariance = squares.reshape(*known.shape, 3, 3) / np.maximum(count, 1)[..., None, None]
    covariance -= mean[..., :, None] * mean[..., None, :]
    spread, axes = np.linalg.eigh(covariance[known])
    normal, deviation = np.zeros((*known.shape, 3)), np.full(known.shape, np.inf)
    normal[known] = axes[..., 0]
    # Of a plane through n points, the tilt's variance is the distances' variance over n times the extent's.
    tilt = np.sqrt(spread[:, 0].clip(0) / np.maximum(spread[:, 1] * count[known], 1e-18))
    deviation[known] = np.where(count[known] >= _WINDOW**2 / 2, np.degrees(tilt), np.inf)
    return _flattest(normal, deviation, known)


def _flattest(normal: np.ndarray, deviation: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal and deviation of the surest of nine windows that a pixel lies in; its own, unless that is far from sure:
    of noisy windows the flattest is so by chance."""
    height, width = known.shape
    half = _WINDOW // 2
    padded = np.pad(deviation, half, constant_values=np.inf)
    rows, columns = np.mgrid[:height, :width]
    best, from_row, from_column = deviation.copy(), rows.copy(), columns.copy()
    for down in (-half, 0, half):
        for right in (-half, 0, half):
            there = padded[half + down : half + down + height, half + right : half + right + width]
            surer = known & (there < best) & (there < deviation / _SURER)
            best[surer] = there[surer]
            from_row[surer], from_column[surer] = rows[surer] + down, columns[surer] + right
    return normal[from_row, from_column], best

