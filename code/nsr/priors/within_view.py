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
_ROUNDS = 4  # of putting displaced pieces back, each beside those before
_FEWEST_RIM = 12  # pixels at the rim of a piece, from which on it tells how far it is displaced, ...
_RIM_NOISE = 0.25  # ... of the step, if they agree to this, ...
_RIM_AGREES = 0.5  # ... so many of them
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
      everything around it is a speck (the peak filter of Hirschmueller 2008, section 2.6).  One of depth that is
      merely displaced is put back (``reattached``).
    * Normals are compared with those of planes fitted to the depth, where these are sure enough; where they differ by
      more than the tolerance, the depth's take their place, with its confidence.
    * Albedo times shading is the photograph, up to a colour of the view.

    Args:
        cameras: of all views; view: the bundle's index among them; photograph: its image ``[H, W, 3]`` uint8.
        depth_tolerance: steps between neighbouring pixels that are still one surface, units of the normalised frame.
        normal_tolerance: degrees; colour_tolerance: of logarithms: such an error halves the confidence.
    """
    changes: dict[str, np.ndarray] = {}
    if bundle.depth is not None and bundle.depth_kind == METRIC:
        known = bundle.depth_confidence > 0
        changes["depth"], specks = reattached(bundle.depth, known, depth_tolerance)
        changes["depth_confidence"] = bundle.depth_confidence * np.where(specks, _SPECK_TRUST, 1)
        bundle = replace(bundle, depth=changes["depth"])
    if bundle.normal is not None:
        known = bundle.normal_confidence > 0
        step = 2 * np.sin(np.radians(normal_tolerance) / 2)
        _, specks = _pieces(bundle.normal, known, step)
        changes["normal_confidence"] = bundle.normal_confidence * np.where(specks, _SPECK_TRUST, 1)
        if "depth_confidence" in changes:
            points = metric_points(bundle, cameras, view)
            normal, deviation = plane_normals(points, bundle.depth_confidence > 0)
            angle = np.degrees(np.arccos(np.abs((normal * bundle.normal).sum(-1)).clip(0, 1)))
            compared = deviation < _PLANE_NOISE * normal_tolerance
            trust = np.where(compared, _falling(angle, normal_tolerance), 1)
            changes["normal_confidence"] *= trust
            # What is known of the shape there is what the depth says: its normal, with the depth's confidence.
            taken = compared & known & (trust < 0.5)
            towards = cameras.centres[view].cpu().numpy() - points[taken]
            outward = np.where((normal[taken] * towards).sum(-1, keepdims=True) < 0, -1, 1)
            changes["normal"] = bundle.normal.copy()
            changes["normal"][taken] = normal[taken] * outward
            changes["normal_confidence"][taken] = changes["depth_confidence"][taken]
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


def _pieces(values: np.ndarray, known: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of a map that no step divides: their number at each pixel ``[H, W]``, and whether the pixel is known and
    its piece a small one.

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
    return piece.reshape(known.shape), known & (size < _SPECK * known.sum())


def reattached(depth: np.ndarray, known: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """A depth map whose small pieces are put back where their rims say, and which small ones are left ``[H, W]`` bool.

    A wrong fringe order or disparity displaces a piece and keeps its shape: all around it, the depth then jumps by one
    factor.  Where nearly all of a rim agrees on that factor, the piece is scaled by it; where it does not, nothing is
    known of the piece.  What is put back serves those beside it in the next round.

    Args:
        depth: ``[H, W]``, 0 where not known; step: between neighbours, above which they are of two pieces.
    """
    piece, small = _pieces(depth[..., None], known, step)
    depth = depth.astype(np.float64)
    for _ in range(_ROUNDS):
        numbers, jumps = _rims(np.log(depth, out=np.zeros_like(depth), where=known), piece, small, known & ~small)
        noise = _RIM_NOISE * step / np.median(depth[known]) if known.any() else 0.0
        moved = False
        order = np.argsort(numbers, kind="stable")
        starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        for part in np.split(order, starts[1:]):
            if np.isfinite(jumps[part]).sum() < _FEWEST_RIM:
                continue
            factor = np.nanmedian(jumps[part])
            # What borders on nothing does not agree: an arm before the body is no displaced part of it.
            if (np.abs(jumps[part] - factor) < noise).mean() >= _RIM_AGREES:
                inside = piece == numbers[part[0]]
                depth[inside] *= np.exp(factor)
                small[inside], moved = False, True
        if not moved:
            break
    return depth.astype(np.float32), small


def _rims(
    logarithm: np.ndarray, piece: np.ndarray, small: np.ndarray, sound: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For every pixel at the rim of a small piece, in each of four directions: the piece's number, and by how much the
    sound side's logarithm of depth is larger halfway between, where both are extended along their slopes; NaN where
    there is no sound side."""
    numbers, jumps = [], []
    for turn in range(4):
        value, of, doubtful, firm = (np.rot90(np.pad(v, 2), turn) for v in (logarithm, piece, small, sound))
        # Four pixels in a row: two of the piece, two beyond its rim.
        a, b, c, d = (np.s_[:, start : value.shape[1] - 3 + start] for start in range(4))
        at = doubtful[b] & (of[b] != of[c])
        known = doubtful[a] & (of[a] == of[b]) & firm[c] & firm[d]
        within, beyond = 1.5 * value[b] - 0.5 * value[a], 1.5 * value[c] - 0.5 * value[d]
        numbers.append(of[b][at])
        jumps.append(np.where(known, beyond - within, np.nan)[at])
    return np.concatenate(numbers), np.concatenate(jumps)


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

