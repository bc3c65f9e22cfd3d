"""Pyramids of depth maps as files, with an index that keeps every scan on one side of the split."""

from __future__ import annotations

import csv
from pathlib import Path

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.priors.networks.common.logs import write_table
from nsr.priors.networks.common.samples import check_sample
from nsr.priors.networks.common.splits import split_by_scene
from nsr.priors.networks.depth_super_resolution.decimation import decimate
from nsr.priors.networks.depth_super_resolution.depth_files import DepthFiles, find_depth_files
from nsr.priors.networks.depth_super_resolution.pfm import write_pfm

TRAIN, VALIDATION = "train.csv", "validation.csv"


def build_pyramid(
    source: str | Path,
    destination: str | Path,
    levels: int = 5,
    kind: str = "area",
    validation: float = 0.2,
    seed: int = 0,
    unit: str = "mm",
) -> int:
    """Decimate every map below ``source`` and list the results by scan.

    Writes ``divided_by_<1, 2, 4, ...>/<scan>/<name>.pfm`` (millimetres, float32, 0 where invalid) and ``train.csv`` and
    ``validation.csv`` with the columns scan, name, width, height and, by level, the path below ``destination``; all of
    it or, after an error, nothing.

    Args:
        source: for example DTU's ``Depths_raw``, a folder a scan; see ``depth_files.find_depth_files``.
        destination: must not hold such files yet.
        levels: of the pyramid, the full size included.
        kind: of decimation; see ``decimation.Degradation``.
        validation: part of the scans for ``validation.csv``.
        unit: of the source's values, ``mm`` or ``m``.

    Returns:
        the number of maps.

    Raises:
        SceneError: no maps, two of one name, one that cannot be read, or the destination has files already.
        NsrError: a level of a map has no valid pixel, or the split leaves no scan to train on.
    """
    if levels < 1:
        raise SceneError(f"a pyramid of {levels} levels has nothing in it; give at least 1")
    maps = DepthFiles(find_depth_files(source), unit)
    sides = split_by_scene(maps.scenes, validation, seed)
    try:
        with whole_folder(destination) as folder:
            rows = [_write_levels(maps, index, folder, levels, kind) for index in range(len(maps))]
            for name, indices in zip((TRAIN, VALIDATION), sides, strict=True):
                write_table(folder / name, [rows[index] for index in indices])
    except FileExistsError as error:
        raise SceneError(f"{error}; give another folder") from error
    return len(maps)


def has_index(folder: str | Path) -> bool:
    """Whether a folder is one that ``build_pyramid`` wrote."""
    return (Path(folder) / TRAIN).is_file()


def read_index(folder: str | Path, side: str, count: int | None = None, divided_by: int = 1) -> DepthFiles:
    """The first ``count`` maps (None: all) of one side, ``TRAIN`` or ``VALIDATION``, at one level.

    Raises:
        SceneError: the index is missing, is none, or has no such level.
    """
    path = Path(folder) / side
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))[:count]
    except OSError as error:
        raise SceneError(f"{path}: cannot be read: {error.strerror or error}") from error
    column = _column(divided_by)
    if any(not row.get(column) for row in rows):
        raise SceneError(f"{path}: has no column {column} in every row; the levels are powers of two")
    return DepthFiles([Path(folder) / row[column] for row in rows], "mm")


def _write_levels(maps: DepthFiles, index: int, folder: Path, levels: int, kind: str) -> dict[str, object]:
    sample = maps[index]
    scan, name = sample["scene"], sample["name"]
    height, width = sample["depth"].shape[-2:]
    row = {"scan": scan, "name": name, "width": width, "height": height}
    for level in range(levels):
        depth, mask = decimate(sample["depth"][None], sample["mask"][None], 2**level, kind)
        check_sample({"depth": depth[0], "mask": mask[0], "scene": scan, "name": f"{name}, level {level}"})
        path = Path(_column(2**level)) / scan / f"{name}.pfm"
        if (folder / path).exists():
            raise SceneError(f"{maps.files[index]}: {scan}/{name} is the name of another map too; rename one")
        write_pfm(folder / path, (depth * mask * 1000)[0, 0].numpy())
        row[_column(2**level)] = path.as_posix()
    return row


def _column(divided_by: int) -> str:
    return f"divided_by_{divided_by}"
