"""Meshes written to files, in world units where the scene has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh

from nsr.atomic import whole_file
from nsr.errors import NsrError

FORMATS = (".ply", ".obj", ".glb")


def to_world(mesh: trimesh.Trimesh, scale_mat: np.ndarray) -> trimesh.Trimesh:
    """A copy of a mesh moved from the normalised frame to world coordinates by ``scale_mat [4, 4]``.

    Faces keep pointing outward even where the transform mirrors.
    """
    vertices = mesh.vertices @ scale_mat[:3, :3].T + scale_mat[:3, 3]
    faces = mesh.faces if np.linalg.det(scale_mat[:3, :3]) > 0 else mesh.faces[:, ::-1]
    return trimesh.Trimesh(vertices, faces, process=False)


def export_mesh(
    mesh: trimesh.Trimesh,
    path: str | Path,
    *,
    colours: np.ndarray | None = None,
    scale_mat: np.ndarray | None = None,
) -> Path:
    """Write a mesh; the file appears whole or not at all.

    Args:
        path: ends in .ply (binary), .obj or .glb; its folder is made where it is missing.
        colours: ``[V, 3]`` uint8 RGB of the vertices.
        scale_mat: ``[4, 4]``, normalised to world; None writes the vertices as they are.

    Raises:
        NsrError: an ending that is not known, a mesh without faces, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise NsrError(
            f"{path.name}: meshes are written as {', '.join(FORMATS)}, not {path.suffix or 'without an ending'}"
        )
    if len(mesh.faces) == 0:
        raise NsrError(f"{path.name} is not written: the mesh has no faces")
    written = to_world(mesh, np.eye(4) if scale_mat is None else scale_mat)
    if colours is not None:
        written.visual = trimesh.visual.ColorVisuals(written, vertex_colors=colours)
    try:
        with whole_file(path) as partial:
            written.export(partial, file_type=path.suffix[1:].lower())
    except OSError as error:
        raise NsrError(f"cannot write the mesh {path}: {error.strerror or error}") from error
    return path
