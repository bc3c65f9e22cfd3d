"""A mesh laid flat: texture coordinates by xatlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from nsr.errors import NsrError

MOST_FACES = 200_000  # more take minutes, and no texture has texels for them
PADDING = 4  # texels between two charts, so that neither filtering nor smaller copies of the texture mix them


@dataclass
class Unwrapped:
    """A mesh cut open along the seams of its charts.

    Attributes:
        mesh: the same faces in the same order; vertices on seams are there once per chart.
        source: ``[V']`` int64, the vertex of the mesh that was unwrapped.
        uv: ``[V', 2]`` float64 texture coordinates in [0, 1], v upwards (OpenGL, OBJ and trimesh; glTF's is
            downwards).
        size: (H, W) of the texture that the padding was laid out for.
    """

    mesh: trimesh.Trimesh
    source: np.ndarray
    uv: np.ndarray
    size: tuple[int, int]


def unwrap(mesh: trimesh.Trimesh, texture_size: int = 2048) -> Unwrapped:
    """Cut a mesh into charts and pack them into a texture.

    Args:
        mesh: at most 200,000 faces; tens of seconds for 50,000.
        texture_size: texels along the texture's longer side.

    Raises:
        NsrError: no faces or too many, a size below 64, or xatlas is not installed.
    """
    if len(mesh.faces) == 0:
        raise NsrError("a mesh without faces cannot be unwrapped")
    if len(mesh.faces) > MOST_FACES:
        raise NsrError(
            f"a mesh of {len(mesh.faces):,} faces is too large to unwrap: decimate it to {MOST_FACES:,} or fewer "
            "(50,000 hold what a texture shows)"
        )
    if texture_size < 64:
        raise NsrError(f"a texture needs at least 64 texels along its side, not {texture_size}")
    try:
        import xatlas
    except ImportError as error:
        raise NsrError("textures need xatlas: pip install 'nsr[mesh]'") from error
    vertices = np.asarray(mesh.vertices, dtype=np.float64)
    middle, size = vertices.mean(axis=0), float(np.ptp(vertices, axis=0).max())
    atlas = xatlas.Atlas()
    atlas.add_mesh(((vertices - middle) / size).astype(np.float32), np.asarray(mesh.faces, dtype=np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding, packing.bilinear = texture_size, PADDING, True
    atlas.generate(xatlas.ChartOptions(), packing)
    source, faces, uv = atlas.get_mesh(0)
    # the packer takes the resolution for a wish: its proportions are kept, its size is ours
    scale = texture_size / max(atlas.width, atlas.height)
    shape = (max(1, round(atlas.height * scale)), max(1, round(atlas.width * scale)))
    uv = np.asarray(uv, dtype=np.float64)
    uv[:, 1] = 1 - uv[:, 1]
    source = np.asarray(source, dtype=np.int64)
    cut = trimesh.Trimesh(vertices[source], np.asarray(faces, dtype=np.int64), process=False)
    return Unwrapped(cut, source, uv.clip(0, 1), shape)
