"""Chamfer distance on DTU, by the protocol that published tables use.

Jensen et al. (2014): the reconstruction's points, thinned to 0.2 mm, are compared inside the scan's observability mask
with the structured-light reference, and the reference's points above the ground plane with the reconstruction; in each
direction the mean of the distances below 20 mm counts, and the figure is the mean of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from scipy.io import loadmat
from scipy.spatial import cKDTree

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.evaluation.dtu_points import sample_mesh, thin

REFERENCES = ("stl", "tola", "furu", "camp")
SCANS = (24, 37, 40, 55, 63, 65, 69, 83, 97, 105, 106, 110, 114, 118, 122)  # of IDR and those after it
_AT_ONCE = 1_000_000
_PREFERRED = {"stl": "_total"}  # of several files of one scan; the others' are "_l3"


@dataclass
class DtuReference:
    """What one scan is measured against.

    Attributes:
        points: ``[N, 3]`` reference points, mm, DTU's world frame.
        mask: bool ``[X, Y, Z]`` observability; bounds: ``[2, 3]`` of its first and last voxel's centre; voxel: mm.
        plane: ``[4]``; a point is above the ground where (x, y, z, 1) times it is positive.
    """

    points: np.ndarray
    mask: np.ndarray
    bounds: np.ndarray
    voxel: float
    plane: np.ndarray


@dataclass
class DtuChamfer:
    """Results in mm.

    Attributes:
        accuracy: mean from the reconstruction to the reference; completeness: the other way; overall: their mean.
        data: ``[N, 3]`` the reconstruction's thinned points near the scan, with data_distance ``[N]``, NaN outside the
            mask; reference: ``[M, 3]`` with reference_distance ``[M]``, NaN below the plane.  Distances beyond the
            limit are infinite.
    """

    accuracy: float
    completeness: float
    overall: float
    data: np.ndarray
    data_distance: np.ndarray
    reference: np.ndarray
    reference_distance: np.ndarray


def load_reference(dataset: str | Path, scan: int, reference: str = "stl", *, surfaces: bool = False) -> DtuReference:
    """Read a scan's reference.

    Args:
        dataset: DTU's evaluation data: ``ObsMask/ObsMask<scan>_10.mat``, ``ObsMask/Plane<scan>.mat`` and
            ``Points/<reference>/<reference><scan>*.ply``.
        reference: stl (the structured light scan), or the points of tola, furu or camp.
        surfaces: take the reference's mesh from ``Surfaces/`` (its vertices) instead of its points.

    Raises:
        NsrError: a file is missing or cannot be read; the message names it.
    """
    if reference not in REFERENCES:
        raise NsrError(f"DTU has the references {', '.join(REFERENCES)}, not {reference!r}")
    dataset = Path(dataset)
    observed = _matrices(dataset / "ObsMask" / f"ObsMask{scan}_10.mat", ("ObsMask", "BB", "Res"))
    plane = _matrices(dataset / "ObsMask" / f"Plane{scan}.mat", ("P",))["P"].reshape(4).astype(np.float64)
    folder = dataset / ("Surfaces" if surfaces else "Points") / reference
    files = sorted(folder.glob(f"{reference}{scan:03d}*.ply"))
    preferred = [path for path in files if _PREFERRED.get(reference, "_l3") in path.stem]
    if not files:
        raise NsrError(f"{folder}: no {reference}{scan:03d}*.ply there; the points of DTU's evaluation are missing")
    return DtuReference(
        points=read_points(preferred[0] if preferred else files[0])[0],
        mask=observed["ObsMask"].astype(bool),
        bounds=observed["BB"].astype(np.float64),
        voxel=float(observed["Res"].reshape(-1)[0]),
        plane=plane,
    )


def read_points(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices ``[V, 3]`` and faces ``[F, 3]`` of a mesh, or the points of a cloud and no faces.

    Raises:
        NsrError: the file is missing, empty or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise NsrError(f"{path}: there is no such file")
    try:
        loaded = trimesh.load(path, process=False)
        if isinstance(loaded, trimesh.Scene):
            loaded = loaded.to_geometry()
    except Exception as error:  # trimesh raises whatever its readers trip over
        raise NsrError(f"{path}: cannot be read as a mesh or a cloud of points ({error})") from error
    faces = np.asarray(getattr(loaded, "faces", np.empty((0, 3), dtype=np.int64)))
    if len(loaded.vertices) == 0:
        raise NsrError(f"{path}: has no points")
    return np.asarray(loaded.vertices, dtype=np.float64), faces


def dtu_chamfer(
    vertices: np.ndarray,
    faces: np.ndarray,
    reference: DtuReference,
    *,
    spacing: float = 0.2,
    margin: float = 60.0,
    max_distance: float = 20.0,
    seed: int = 0,
) -> DtuChamfer:
    """Measure a reconstruction.

    Args:
        vertices, faces: in mm, DTU's world frame; without faces the vertices are taken as a cloud of points.
        spacing: mm between the points compared; margin: mm about the mask's box (below; twice that above, as the
            protocol has it) that count for completeness; max_distance: mm, larger distances do not count.
        seed: of the order in which points are thinned.

    Raises:
        NsrError: nothing of the reconstruction is inside the mask, or nothing is closer than ``max_distance``.
    """
    points = sample_mesh(vertices, faces, spacing) if len(faces) else vertices
    low, high = reference.bounds[0] - margin, reference.bounds[1] + 2 * margin
    # thinning looks no further than the spacing: what is well outside need not be thinned
    near = ((points >= low - 2 * spacing) & (points < high + 2 * spacing)).all(axis=1)
    data = thin(points[near], spacing, seed)
    data = data[((data >= low) & (data < high)).all(axis=1)]
    observed = _in_mask(data, reference)
    above = reference.points @ reference.plane[:3] + reference.plane[3] > 0
    if not observed.any() or not above.any():
        missing = "the reconstruction is in the scan's mask" if above.any() else "the reference is above the ground"
        raise NsrError(f"no point of {missing}; is the mesh in DTU's world coordinates (mm)?")
    data_distance = np.full(len(data), np.nan)
    data_distance[observed] = _nearest(reference.points, data[observed], max_distance)
    reference_distance = np.full(len(reference.points), np.nan)
    reference_distance[above] = _nearest(data, reference.points[above], max_distance)
    means = []
    for distance, name in ((data_distance, "reconstruction"), (reference_distance, "reference")):
        counted = distance[distance < max_distance]
        if not len(counted):
            raise NsrError(f"no point of the {name} is within {max_distance:g} mm of the other surface")
        means.append(float(counted.mean()))
    return DtuChamfer(*means, sum(means) / 2, data, data_distance, reference.points, reference_distance)


def write_error_clouds(result: DtuChamfer, folder: str | Path, name: str, *, largest: float = 10.0) -> list[Path]:
    """Write both sets of points, coloured: white at 0 to red at ``largest`` mm and beyond, green where the distance
    exceeds the limit, blue where the point does not count.  Two binary PLY files, ``<name>_d2s`` and ``<name>_s2d``."""
    written = []
    for points, distance, direction in (
        (result.data, result.data_distance, "d2s"),
        (result.reference, result.reference_distance, "s2d"),
    ):
        path = Path(folder) / f"{name}_{direction}.ply"
        with whole_file(path) as partial:
            trimesh.PointCloud(points, colors=_error_colours(distance, largest)).export(partial, file_type="ply")
        written.append(path)
    return written


def _error_colours(distance: np.ndarray, largest: float) -> np.ndarray:
    share = np.nan_to_num(distance / largest, nan=0.0, posinf=1.0).clip(0, 1)
    colours = np.stack([np.ones_like(share), 1 - share, 1 - share], axis=-1)
    colours[np.isinf(distance)] = (0, 1, 0)
    colours[np.isnan(distance)] = (0, 0, 1)
    return (colours * 255).round().astype(np.uint8)


def _in_mask(points: np.ndarray, reference: DtuReference) -> np.ndarray:
    """``[N]`` bool: in an observed voxel (the one whose centre is nearest)."""
    voxel = np.around((points - reference.bounds[0]) / reference.voxel).astype(np.int64)
    inside = ((voxel >= 0) & (voxel < reference.mask.shape)).all(axis=1)
    observed = np.zeros(len(points), dtype=bool)
    observed[inside] = reference.mask[tuple(voxel[inside].T)]
    return observed


def _nearest(target: np.ndarray, points: np.ndarray, limit: float) -> np.ndarray:
    """Distances from ``points`` to the nearest of ``target``, infinite from ``limit`` on; a part at a time."""
    tree = cKDTree(target)
    parts = [
        tree.query(points[start : start + _AT_ONCE], distance_upper_bound=limit, workers=-1)[0]
        for start in range(0, len(points), _AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _matrices(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise NsrError(f"{path}: there is no such file; it belongs to DTU's evaluation data (SampleSet)")
    try:
        content = loadmat(path)
    except Exception as error:  # scipy's reader raises many kinds on damaged files
        raise NsrError(f"{path}: cannot be read as a MATLAB file ({error})") from error
    missing = [name for name in names if name not in content]
    if missing:
        raise NsrError(f"{path}: has no {', '.join(missing)}")
    return {name: content[name] for name in names}
