"""Middlebury's multi-view data sets: ``NAME_par.txt``, one line a photograph.

``imgname.png k11 .. k33 r11 .. r33 t1 t2 t3``; the projection is K [R t], OpenCV axes.  The data set's page does not
say where in a pixel its coordinates are; they are taken as they are, with the first pixel's centre at (0, 0).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import SceneError
from nsr.scenes.cameras import decompose_projection
from nsr.scenes.importing.files import find_photographs, read_text
from nsr.scenes.importing.source import Source, SourceView


def find_par(source: Path) -> Path | None:
    """The parameter file in ``source`` (or ``source`` itself), or None."""
    if source.is_file():
        return source if source.name.endswith("_par.txt") else None
    return next(iter(sorted(source.glob("*_par.txt"))), None)


def read_middlebury(source: Path, images: Path | None = None) -> Source:
    """Read a ``_par.txt`` and its photographs, in the file's order.

    Raises:
        SceneError: no such file, a line of another form, fewer lines than the file announces, missing photographs.
    """
    path = find_par(source)
    if path is None:
        raise SceneError(f"{source}: there is no _par.txt here")
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    try:
        announced = int(lines[0][0])
        values = [np.array([float(entry) for entry in line[1:]]) for line in lines[1:]]
    except (ValueError, IndexError) as error:
        raise SceneError(f"{path}: the first line must be the number of photographs, the others cameras") from error
    names = [line[0] for line in lines[1:]]
    if len(names) != announced:
        raise SceneError(f"{path}: it announces {announced} cameras but has {len(names)}")
    views = []
    for name, file, entries in zip(names, find_photographs(names, [images or path.parent]), values, strict=True):
        if entries.size != 21 or not np.isfinite(entries).all():
            raise SceneError(f"{path}: the line of {name} must have 21 finite numbers (K, R, t); it has {entries.size}")
        projection = entries[:9].reshape(3, 3) @ np.column_stack([entries[9:18].reshape(3, 3), entries[18:]])
        try:
            intrinsics, pose = decompose_projection(projection)
        except SceneError as error:
            raise SceneError(f"{path}: {name}: {error}") from error
        views.append(SourceView(name, file, intrinsics, pose))
    return Source("middlebury", views)
