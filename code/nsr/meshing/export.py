"""Meshes written to files, in world units where the scene has them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.meshing.glb import glb_bytes
from nsr.meshing.texture import Texture

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
    normals: np.ndarray | None = None,
    texture: Texture | None = None,
    scale_mat: np.ndarray | None = None,
    unlit: bool = False,
) -> Path:
    """Write a mesh; each file appears whole or not at all.

    Args:
        path: ends in .ply (binary), .obj or .glb; its folder is made where it is missing.  A textured .obj comes with
            ``<stem>.mtl`` and ``<stem>.png``; a .ply holds no texture.
        colours: ``[V, 3]`` uint8 sRGB of the vertices; left out where there is a texture.
        normals: ``[V, 3]`` unit, in the frame of ``mesh``; None writes none.
        texture: of the mesh's vertices.
        scale_mat: ``[4, 4]``, normalised to world; None writes the vertices as they are.
        unlit: of .glb: show the colours as they are, without the viewer's lamps.

    Raises:
        NsrError: an ending that is not known, a texture for a .ply, a mesh without faces, or a place that cannot be
            written.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in FORMATS:
        raise NsrError(
            f"{path.name}: meshes are written as {', '.join(FORMATS)}, not {path.suffix or 'without an ending'}"
        )
    if len(mesh.faces) == 0:
        raise NsrError(f"{path.name} is not written: the mesh has no faces")
    if texture is not None and kind == ".ply":
        raise NsrError(f"{path.name}: a .ply holds no texture; write .obj or .glb, or colours of the vertices")
    scale_mat = np.eye(4) if scale_mat is None else scale_mat
    written = to_world(mesh, scale_mat)
    if normals is not None:
        turned = normals @ np.linalg.inv(scale_mat[:3, :3])
        turned = turned / np.linalg.norm(turned, axis=1, keepdims=True).clip(1e-12, None)
        written = trimesh.Trimesh(written.vertices, written.faces, vertex_normals=turned, process=False)
    try:
        if kind == ".glb":
            _write(path, glb_bytes(written, colours, normals is not None, texture, unlit))
        elif texture is not None:
            _write_textured_obj(path, written, normals is not None, texture)
        else:
            if colours is not None:
                written.visual = trimesh.visual.ColorVisuals(written, vertex_colors=colours)
            option = "vertex_normal" if kind == ".ply" else "include_normals"
            _write(path, written.export(file_type=kind[1:], **{option: normals is not None}))
    except OSError as error:
        raise NsrError(f"cannot write the mesh {path}: {error.strerror or error}") from error
    return path


def _write_textured_obj(path: Path, mesh: trimesh.Trimesh, with_normals: bool, texture: Texture) -> None:
    """The picture first and the mesh last: an .obj that is there can be opened."""
    picture, material = path.with_suffix(".png"), path.with_suffix(".mtl")
    encoded = io.BytesIO()
    Image.fromarray(texture.picture).save(encoded, "PNG")
    _write(picture, encoded.getvalue())
    _write(material, f"newmtl surface\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n")
    surface = trimesh.visual.material.SimpleMaterial(name="surface")
    mesh.visual = trimesh.visual.TextureVisuals(uv=texture.uv, material=surface)
    _write(path, mesh.export(file_type="obj", include_normals=with_normals, mtl_name=material.name))


def _write(path: Path, content: bytes | str) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
