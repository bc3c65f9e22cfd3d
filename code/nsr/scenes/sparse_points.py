"""``sparse_points.npz``: the points of structure from motion beside a scene, and which views see them."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.errors import SceneError

SPARSE_POINTS_FILE = "sparse_points.npz"
# What np.load raises on damaged files and on other files than an npz.
_DAMAGE = (OSError, ValueError, TypeError, EOFError, AttributeError, RuntimeError, KeyError)


@dataclass
class SparsePoints:
    """Points of structure from motion, and who sees them.

    Attributes:
        positions: ``[P, 3]`` float64, world coordinates.
        errors: ``[P]`` float64 mean reprojection error in pixels (NaN where the source does not say).
        offsets: ``[P + 1]`` int64; views: ``[K]`` int32: point p is seen by ``views[offsets[p]:offsets[p + 1]]``.
    """

    positions: np.ndarray
    errors: np.ndarray
    offsets: np.ndarray
    views: np.ndarray

    @classmethod
    def from_tracks(cls, positions, errors, tracks: list[list[int]]) -> SparsePoints:
        """From one list of view indices per point."""
        lengths = [len(track) for track in tracks]
        return cls(
            np.asarray(positions, dtype=np.float64).reshape(-1, 3),
            np.asarray(errors, dtype=np.float64).reshape(-1),
            np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
            np.array([view for track in tracks for view in track], dtype=np.int32),
        )

    def __len__(self) -> int:
        return len(self.positions)

    def seen_by(self, view: int) -> np.ndarray:
        """Indices of the points that a view sees, ascending."""
        return np.unique(np.repeat(np.arange(len(self)), np.diff(self.offsets))[self.views == view])

    def of_views(self, kept: list[int]) -> SparsePoints:
        """The same points as the views ``kept`` see them, renumbered in that order.  Points that none of them sees go,
        unless the source does not tell of any point who sees it."""
        number = {view: index for index, view in enumerate(kept)}
        tracks = [
            sorted({number[view] for view in self.views[start:end].tolist() if view in number})
            for start, end in zip(self.offsets[:-1], self.offsets[1:], strict=True)
        ]
        used = [index for index, track in enumerate(tracks) if track or not len(self.views)]
        return SparsePoints.from_tracks(self.positions[used], self.errors[used], [tracks[index] for index in used])


def write_sparse_points(path: str | Path, points: SparsePoints) -> None:
    """Write an npz of ``points [P, 3]``, ``error [P]``, ``offsets [P + 1]`` and ``views [K]``; whole or not at all.

    Raises:
        SceneError: the disk refuses.
    """
    try:
        with whole_file(path) as partial:
            np.savez_compressed(
                partial, points=points.positions, error=points.errors, offsets=points.offsets, views=points.views
            )
    except OSError as error:
        raise SceneError(f"{path}: cannot be written ({error.strerror or error})") from error


def read_sparse_points(path: str | Path, views: int) -> SparsePoints:
    """Read what ``write_sparse_points`` writes.

    Args:
        views: how many the scene has.

    Raises:
        SceneError: not such a file, or arrays that do not fit together or to the scene.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            positions, errors, offsets, seen = (archive[key] for key in ("points", "error", "offsets", "views"))
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error) as error:
        raise SceneError(f"{path}: not a file of sparse points, or damaged") from error
    fits = (
        positions.ndim == 2
        and positions.shape[1] == 3
        and errors.shape == (len(positions),)
        and offsets.shape == (len(positions) + 1,)
        and seen.ndim == 1
        and offsets[0] == 0
        and offsets[-1] == len(seen)
        and (np.diff(offsets) >= 0).all()
        and (len(seen) == 0 or 0 <= seen.min() <= seen.max() < views)
    )
    if not fits:
        raise SceneError(f"{path}: points, error, offsets and views do not fit together, or not to {views} views")
    return SparsePoints(
        positions.astype(np.float64), errors.astype(np.float64), offsets.astype(np.int64), seen.astype(np.int32)
    )
