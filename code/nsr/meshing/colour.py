"""Colours of a mesh's vertices from the radiance field."""

from __future__ import annotations

import numpy as np
import torch
import trimesh


def vertex_colours(
    mesh: trimesh.Trimesh, sdf, radiance, *, chunk: int = 16384, device: torch.device | str = "cpu"
) -> np.ndarray:
    """The colour that each vertex shows to a camera straight above it.

    Every vertex is seen along its reversed normal, so that the colour holds as little as can be of highlights that
    move with the viewer.

    Args:
        mesh: vertices in the normalised frame.
        sdf: an SDF field; ``sdf.geometry(x) -> value [N], gradient [N, 3], feature [N, F]``.
        radiance: a radiance field; ``radiance(points, directions, normals, feature) -> rgb [N, 3]`` in [-1, 1],
            directions from the camera to the point.
        chunk: vertices at a time.
        device: where the two fields are.

    Returns:
        ``[V, 3]`` uint8 RGB.
    """
    points = torch.from_numpy(np.ascontiguousarray(mesh.vertices, dtype=np.float32))
    colours = np.empty((len(points), 3), dtype=np.uint8)
    with torch.no_grad():
        for start in range(0, len(points), chunk):
            x = points[start : start + chunk].to(device)
            _, gradient, feature = sdf.geometry(x)
            directions = -torch.nn.functional.normalize(gradient, dim=-1)
            rgb = (radiance(x, directions, gradient, feature) + 1) / 2
            colours[start : start + chunk] = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return colours
