"""Colours and normals of a mesh's surface from the fields that made it."""

from __future__ import annotations

import numpy as np
import torch
import trimesh

_FARTHEST_MOVE = 0.01  # of the normalised frame, of a point on its way to the field's own surface
_NEWTON_STEPS = 2


def vertex_colours(
    mesh: trimesh.Trimesh, sdf, radiance, *, chunk: int = 16384, device: torch.device | str = "cpu"
) -> np.ndarray:
    """The colour that each vertex shows to a camera straight above it.

    Every vertex is seen along its reversed normal, so that the colour holds as little as can be of highlights that
    move with the viewer.

    Args:
        mesh: vertices in the normalised frame.
        sdf: an SDF field; ``sdf.geometry(x) -> value [N], gradient [N, 3], feature [N, F]``.
        radiance: a radiance field; ``radiance(points, directions, normals, feature) -> rgb [N, 3]``, black at -1 and
            white at 1 (what lies beyond is cut), directions from the camera to the point.
        chunk: vertices at a time.
        device: where the two fields are.

    Returns:
        ``[V, 3]`` uint8 RGB.
    """
    return surface_colours(mesh.vertices, sdf, radiance, chunk=chunk, device=device)


def surface_colours(
    points: np.ndarray,
    sdf,
    radiance,
    *,
    chunk: int = 16384,
    device: torch.device | str = "cpu",
    to_surface: bool = False,
) -> np.ndarray:
    """As ``vertex_colours``, at any points ``[N, 3]``.

    Args:
        to_surface: move points that lie up to 0.01 beside the field's zero set onto it first, along its gradient.
    """
    colours = np.empty((len(points), 3), dtype=np.uint8)
    with torch.no_grad():
        for start in range(0, len(points), chunk):
            x = _tensor(points[start : start + chunk], device)
            value, gradient, feature = sdf.geometry(x)
            for _ in range(_NEWTON_STEPS if to_surface else 0):
                move = value.unsqueeze(1) * gradient / gradient.square().sum(1, keepdim=True).clamp_min(0.25)
                x = torch.where(move.norm(dim=1, keepdim=True) <= _FARTHEST_MOVE, x - move, x)
                value, gradient, feature = sdf.geometry(x)
            directions = -torch.nn.functional.normalize(gradient, dim=-1)
            rgb = (radiance(x, directions, gradient, feature) + 1) / 2
            colours[start : start + chunk] = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return colours


def vertex_normals(mesh: trimesh.Trimesh, sdf, *, chunk: int = 16384, device: torch.device | str = "cpu") -> np.ndarray:
    """Unit normals ``[V, 3]`` of the field at a mesh's vertices: smoother than those of its faces.

    Where the gradient disagrees with the faces by more than 60 degrees (the mesh is cut there by the bounds of the
    field, or the field is not smooth), the faces' mean is taken.
    """
    faces = np.array(mesh.vertex_normals)
    with torch.no_grad():
        for start in range(0, len(faces), chunk):
            gradient = sdf.geometry(_tensor(mesh.vertices[start : start + chunk], device))[1]
            normal = torch.nn.functional.normalize(gradient, dim=-1).cpu().double().numpy()
            part = faces[start : start + chunk]
            agree = np.einsum("ij,ij->i", normal, part) > 0.5
            part[agree] = normal[agree]
    return faces


def _tensor(points: np.ndarray, device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(points, dtype=np.float32)).to(device)
