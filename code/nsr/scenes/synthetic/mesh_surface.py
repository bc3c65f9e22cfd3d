"""A triangle mesh from a file as a surface to render, with its own colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nsr.errors import SceneError
from nsr.scenes.synthetic.ray_casting import TriangleCaster
from nsr.scenes.synthetic.surfaces import FLAT_ALBEDO, Hits
from nsr.scenes.synthetic.texture import WaveTexture

#: A mesh is scaled so that its farthest vertex is this far from the origin.
MESH_RADIUS = 0.8

#: What a white texel reflects: real paint is not whiter, and highlights need room above it.
WHITE_REFLECTANCE = 0.75

# To the scene's axes (z up): cyclic permutations, which keep the handedness.
_UPRIGHT = {"x": [1, 2, 0], "y": [2, 0, 1], "z": [0, 1, 2]}


class MeshSurface:
    """The triangles of a mesh file, centred (bounding box) and scaled into the unit sphere.

    Shading and the normal maps use vertex normals, interpolated, so that facets do not show; depth is exactly that of
    the triangles.  A triangle seen from behind has its normal turned to the viewer.

    Args:
        path: anything that trimesh reads.
        up: the file's axis that points up, x, y or z.
        own_colours: use the file's image texture (linear filtering) or vertex or face colours, white as 0.75.
        texture: multiplies the file's colours by its fine pattern; without own colours it is the albedo.

    Raises:
        SceneError: the file cannot be read, has no triangles, or has no colours though they are asked for.
    """

    def __init__(self, path: str | Path, up: str, own_colours: bool, texture: WaveTexture | None) -> None:
        mesh = _load(path)
        # Vertices are repeated along the seams of a texture; the surface has no seams.
        vertices, merged = np.unique(np.asarray(mesh.vertices), axis=0, return_inverse=True)
        faces = merged.reshape(-1)[mesh.faces]
        kept = (faces != np.roll(faces, 1, axis=1)).all(1)
        self.faces = faces[kept].astype(np.int32)
        self.vertices = _normalised(vertices[:, _UPRIGHT[up]])
        self._colours = _OwnColours(mesh, kept, path) if own_colours else None
        self._texture = texture
        self._caster = TriangleCaster(self.vertices, self.faces)
        self._corner_normals = torch.from_numpy(_vertex_normals(self.vertices, self.faces)[self.faces])

    def first_hit(self, origins: Tensor, directions: Tensor) -> Hits:
        import trimesh

        distances, triangles = self._caster.first_hit(origins, directions)
        rays = torch.nonzero(triangles >= 0).squeeze(-1)
        distances, triangles, directions = distances[rays], triangles[rays], directions[rays]
        points = origins[rays] + distances.unsqueeze(-1) * directions
        corners = self.vertices[self.faces[triangles.numpy()]]
        weights = torch.from_numpy(trimesh.triangles.points_to_barycentric(corners, points.numpy())).float()
        normals = torch.nn.functional.normalize(_interpolate(self._corner_normals[triangles], weights), dim=-1)
        flat = torch.from_numpy(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        normals = torch.where(((flat * directions).sum(-1) > 0).unsqueeze(-1), -normals, normals)
        return Hits(rays, distances, points, normals, self._albedo(points, triangles, weights))

    def is_blocked(self, origins: Tensor, directions: Tensor) -> Tensor:
        return self._caster.is_blocked(origins, directions)

    def _albedo(self, points: Tensor, triangles: Tensor, weights: Tensor) -> Tensor:
        if self._colours is not None:
            own = WHITE_REFLECTANCE * self._colours.at(triangles, weights)
            return own if self._texture is None else own * self._texture.fine(points)
        if self._texture is not None:
            return self._texture.albedo(points)
        return torch.full_like(points, FLAT_ALBEDO)


class _OwnColours:
    """Colours that came with a mesh: an image with texture coordinates, or colours of vertices or faces."""

    def __init__(self, mesh, kept: np.ndarray, path: str | Path) -> None:
        faces = np.asarray(mesh.faces)[kept]
        self._image = None
        image = _texture_image(mesh)
        if image is not None and mesh.visual.uv is not None:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
            self._image = torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
            corners = np.asarray(mesh.visual.uv)[faces]
        elif mesh.visual.kind == "vertex":
            corners = mesh.visual.vertex_colors[faces][..., :3] / 255
        elif mesh.visual.kind == "face":
            corners = np.repeat(mesh.visual.face_colors[kept][:, None, :3], 3, axis=1) / 255
        else:
            raise SceneError(f"{path}: the mesh has no colours of its own; use texture procedural or flat")
        self._corners = torch.from_numpy(np.ascontiguousarray(corners, dtype=np.float32))

    def at(self, triangles: Tensor, weights: Tensor) -> Tensor:
        """``[N, 3]`` colours at barycentric ``weights [N, 3]`` of ``triangles [N]``."""
        values = _interpolate(self._corners[triangles], weights)
        if self._image is None:
            return values
        # Texture coordinates repeat, and start at the image's lower left corner.
        u, v = values.remainder(1).unbind(-1)
        grid = torch.stack([2 * u - 1, 1 - 2 * v], dim=-1).reshape(1, 1, -1, 2)
        colours = torch.nn.functional.grid_sample(self._image, grid, padding_mode="border", align_corners=False)
        return colours[0, :, 0].T


def _load(path: str | Path):
    import trimesh

    try:
        mesh = trimesh.load(path, force="mesh", process=False)
    except (ValueError, KeyError, IndexError, TypeError, NotImplementedError, OSError) as error:
        raise SceneError(f"{path}: the mesh cannot be read ({error})") from error
    if len(getattr(mesh, "faces", ())) == 0:
        raise SceneError(f"{path}: there are no triangles in the mesh")
    if not np.isfinite(mesh.vertices).all() or np.ptp(mesh.vertices, axis=0).max() == 0:
        raise SceneError(f"{path}: the mesh has no extent, or vertices that are NaN or infinite")
    return mesh


def _texture_image(mesh):
    """The colour image of a mesh's material, or None."""
    material = getattr(mesh.visual, "material", None)
    return getattr(material, "image", None) or getattr(material, "baseColorTexture", None)


def _normalised(vertices: np.ndarray) -> np.ndarray:
    centred = vertices - (vertices.min(0) + vertices.max(0)) / 2
    return (centred * (MESH_RADIUS / np.linalg.norm(centred, axis=1).max())).astype(np.float32)


def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    import trimesh

    return trimesh.Trimesh(vertices, faces, process=False).vertex_normals.astype(np.float32)


def _interpolate(corner_values: Tensor, weights: Tensor) -> Tensor:
    return (corner_values * weights.unsqueeze(-1)).sum(1)
