"""From a trained renderer to a mesh that can be given away: extracted, smaller, trimmed, coloured or textured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

from nsr.errors import NsrError
from nsr.meshing.colour import vertex_colours, vertex_normals
from nsr.meshing.decimation import decimate
from nsr.meshing.extraction import extract_mesh
from nsr.meshing.texture import Texture, bake_radiance, blend_photographs
from nsr.meshing.trim import trim_unseen
from nsr.meshing.unwrap import MOST_FACES, unwrap
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene

TEXTURES = ("none", "radiance", "photographs")
TEXTURED_FACES = 50_000


@dataclass
class MeshOptions:
    """What a finished mesh should be; lengths in units of the normalised frame.

    Attributes:
        resolution, edge_length, uniform_grid: see ``extract_mesh``.
        all_components: keep every component instead of the largest.
        faces, max_error: see ``decimate``; neither: all triangles, or 50,000 where there is a texture.
        seen_by: leave out what fewer training views see; 0: keep all.
        texture: none (colours of the vertices), radiance or photographs; texture_size: texels of its longer side.
    """

    resolution: int = 512
    edge_length: float | None = None
    uniform_grid: bool = False
    all_components: bool = False
    faces: int | None = None
    max_error: float | None = None
    seen_by: int = 0
    texture: str = "none"
    texture_size: int = 2048


@dataclass
class FinishedMesh:
    """A mesh in the normalised frame with what belongs to its vertices.

    Attributes:
        mesh: cut open along texture seams where there is a texture.
        normals: ``[V, 3]`` unit.
        colours: ``[V, 3]`` uint8 sRGB.
        texture: or None.
        extracted_faces: before anything was taken away.
        error: largest distance that decimation moved the surface; 0 without.
        watertight: whether the surface is closed (seams of the texture aside).
    """

    mesh: trimesh.Trimesh
    normals: np.ndarray
    colours: np.ndarray
    texture: Texture | None
    extracted_faces: int
    error: float
    watertight: bool


def finish_mesh(
    renderer, options: MeshOptions, *, scene: Scene | None = None, cameras: Cameras | None = None, device="cpu"
) -> FinishedMesh:
    """Extract a renderer's surface and make of it what ``options`` say.

    Args:
        renderer: a ``SurfaceRenderer``.
        scene: for trimming and photographs; cameras: of all its views in the normalised frame, refined where they
            were; device: of the renderer.

    Raises:
        NsrError: the field has no surface, an option is impossible, or it needs a scene and there is none.
    """
    if options.texture not in TEXTURES:
        raise NsrError(f"a mesh's texture is {' or '.join(TEXTURES)}, not {options.texture!r}")
    if scene is None and (options.seen_by > 0 or options.texture == "photographs"):
        raise NsrError("trimming to what the views see, and photographs as a texture, need the scene")
    if options.texture != "none" and options.faces is not None and options.faces > MOST_FACES:
        raise NsrError(f"{options.faces:,} faces are too many for a texture: {MOST_FACES:,} are the most")
    mesh = extract_mesh(
        renderer.value,
        options.resolution,
        renderer.tracer.config.object_bounding_sphere,
        edge_length=options.edge_length,
        largest_only=not options.all_components,
        uniform_grid=options.uniform_grid,
        device=device,
    )
    extracted, error = len(mesh.faces), 0.0
    faces = options.faces
    if faces is None and options.max_error is None and options.texture != "none":
        faces = TEXTURED_FACES
    if faces is not None or options.max_error is not None:
        smaller = decimate(mesh, faces, options.max_error)
        mesh, error = smaller.mesh, smaller.error
    if options.seen_by > 0:
        sizes = [tuple(mask.shape) for mask in scene.masks]
        mesh = trim_unseen(mesh, cameras, scene.train_views, sizes, options.seen_by)
    watertight = bool(mesh.is_watertight)
    normals = vertex_normals(mesh, renderer.sdf, device=device)
    texture = None
    if options.texture != "none":
        unwrapped = unwrap(mesh, options.texture_size)
        mesh, normals = unwrapped.mesh, normals[unwrapped.source]
        fields = {"sdf": renderer.sdf, "radiance": renderer.radiance, "device": device}
        if options.texture == "radiance":
            texture = bake_radiance(unwrapped, **fields)
        else:
            texture = blend_photographs(unwrapped, normals, scene, cameras, **fields)
    colours = vertex_colours(mesh, renderer.sdf, renderer.radiance, device=device)
    return FinishedMesh(mesh, normals, colours, texture, extracted, error, watertight)
