"""Sparse points and who sees them, in memory and on disk."""

from __future__ import annotations

import numpy as np
import pytest

from nsr.errors import SceneError
from nsr.scenes.sparse_points import SparsePoints, read_sparse_points, write_sparse_points


@pytest.fixture
def points():
    positions = np.arange(9.0).reshape(3, 3) / 7
    return SparsePoints.from_tracks(positions, [0.5, np.nan, 2.0], [[0, 2], [], [1, 2, 3]])


def test_written_and_read_back(points, tmp_path):
    write_sparse_points(tmp_path / "sparse_points.npz", points)
    with np.load(tmp_path / "sparse_points.npz") as archive:
        assert {key: archive[key].dtype.name for key in archive.files} == {
            "points": "float64", "error": "float64", "offsets": "int64", "views": "int32",
        }  # fmt: skip
    again = read_sparse_points(tmp_path / "sparse_points.npz", 4)
    for name in ("positions", "errors", "offsets", "views"):
        np.testing.assert_array_equal(getattr(again, name), getattr(points, name))
    assert [path.name for path in tmp_path.iterdir()] == ["sparse_points.npz"]


def test_who_sees_what(points):
    assert [points.seen_by(view).tolist() for view in range(4)] == [[0], [2], [0, 2], [2]]
    some = points.of_views([3, 0])
    assert some.offsets.tolist() == [0, 1, 2] and some.views.tolist() == [1, 0]
    np.testing.assert_array_equal(some.positions, points.positions[[0, 2]])


def test_points_of_which_nothing_is_known_are_kept():
    unknown = SparsePoints.from_tracks(np.zeros((2, 3)), [np.nan, np.nan], [[], []])
    assert len(unknown.of_views([0])) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("error"),
        lambda arrays: arrays.update(offsets=arrays["offsets"][:-1]),
        lambda arrays: arrays.update(views=arrays["views"] + 1),
        lambda arrays: arrays.update(points=arrays["points"][:, :2]),
    ],
)
def test_damaged_files(points, tmp_path, damage):
    write_sparse_points(tmp_path / "a.npz", points)
    with np.load(tmp_path / "a.npz") as archive:
        arrays = dict(archive)
    damage(arrays)
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(SceneError, match="b.npz: "):
        read_sparse_points(tmp_path / "b.npz", 4)
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-20])
    with pytest.raises(SceneError, match="c.npz: not a file of sparse points"):
        read_sparse_points(tmp_path / "c.npz", 4)
