"""Textures: colours for every texel, from the radiance field or from the photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from nsr.meshing.colour import surface_colours
from nsr.meshing.texels import Texels, rasterise
from nsr.meshing.unwrap import Unwrapped
from nsr.meshing.visibility import project, surface_viewer
from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene

SMALLEST_COSINE = 0.2  # between normal and view: photographs that graze the surface smear
SHARPNESS = 8  # of the weights: the best view dominates, its neighbours hide the seams
DEPTH_SLACK = 4  # pixel footprints (more on a slant) by which a texel may lie behind the depth image
MASK_MARGIN = 2  # pixels at outlines that already show the background


@dataclass
class Texture:
    """Attributes: uv ``[V, 2]`` in [0, 1], v upwards, of a mesh's vertices; picture ``[H, W, 3]`` uint8 sRGB."""

    uv: np.ndarray
    picture: np.ndarray


def bake_radiance(unwrapped: Unwrapped, sdf, radiance, *, device="cpu") -> Texture:
    """The colour that each texel shows to a camera straight above it, by the radiance field.

    Args:
        unwrapped: in the normalised frame; its surface may lie a little off the field's (decimation): the field is
            asked at the closest points of its own surface.
        sdf, radiance, device: see ``vertex_colours``.
    """
    texels = rasterise(unwrapped)
    return Texture(unwrapped.uv, texels.picture(_radiance_colours(unwrapped, texels, sdf, radiance, device)))


def blend_photographs(
    unwrapped: Unwrapped, normals: np.ndarray, scene: Scene, cameras: Cameras, sdf, radiance, *, device="cpu"
) -> Texture:
    """Each texel's colour from the training photographs that see it, weighted towards the closest and most frontal.

    A view counts where the texel lies inside its frame and its mask (less two pixels), is not hidden by the mesh nor
    beside something in front of it, and is seen at less than about 78 degrees from its normal; its weight is the
    eighth power of (cosine x pixels per unit length).  Texels that no view sees take the radiance field's colour.

    Args:
        unwrapped, sdf, radiance, device: as in ``bake_radiance``.
        normals: ``[V', 3]`` unit, of the unwrapped mesh's vertices.
        scene: its photographs, masks and training views; cameras: of all views in the normalised frame, refined ones
            where there are any.
    """
    cameras = Cameras(cameras.intrinsics.detach().cpu(), cameras.poses.detach().cpu())
    texels = rasterise(unwrapped)
    faces = unwrapped.mesh.faces
    points = texels.interpolate(faces, unwrapped.mesh.vertices)
    normal = texels.interpolate(faces, normals)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-12, None)
    viewer = surface_viewer(unwrapped.mesh)
    colour, weight = np.zeros((len(points), 3), dtype=np.float32), np.zeros(len(points), dtype=np.float32)
    for view in scene.train_views:
        seen, pixels, quality = _seen(viewer, cameras, view, scene.masks[view].numpy(), points, normal)
        share = ((quality / _reference_quality(scene, cameras)) ** SHARPNESS).astype(np.float32)
        colour[seen] += share[:, None] * _bilinear(scene.images[view].numpy(), pixels)
        weight[seen] += share
    blended = _radiance_colours(unwrapped, texels, sdf, radiance, device)
    known = weight > 0
    blended[known] = (colour[known] / weight[known, None]).round().clip(0, 255).astype(np.uint8)
    return Texture(unwrapped.uv, texels.picture(blended))


def _radiance_colours(unwrapped: Unwrapped, texels: Texels, sdf, radiance, device) -> np.ndarray:
    points = texels.interpolate(unwrapped.mesh.faces, unwrapped.mesh.vertices)
    return surface_colours(points, sdf, radiance, device=device, to_surface=True)


def _reference_quality(scene: Scene, cameras: Cameras) -> float:
    """Pixels per unit length at the origin, of the first training view: keeps the weights' powers near one."""
    view = scene.train_views[0]
    return float(cameras.intrinsics[view, 0, 0] / cameras.poses[view, :3, 3].norm().clamp_min(1e-3))


def _seen(
    viewer, cameras: Cameras, view: int, mask: np.ndarray, points: np.ndarray, normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the points that a view sees well: their indices, pixels ``[S, 2]`` and cosine x pixels per unit length."""
    size = mask.shape
    pixels, depth, inside = project(cameras, view, points, size)
    kept = np.flatnonzero(inside)
    offset = cameras.poses[view, :3, 3].double().numpy() - points[kept]
    cosine = np.einsum("ij,ij->i", offset, normal[kept]) / np.linalg.norm(offset, axis=1)
    kept, cosine = kept[cosine > SMALLEST_COSINE], cosine[cosine > SMALLEST_COSINE]
    v, u = np.mgrid[: size[0], : size[1]]
    grid = np.stack([u.ravel(), v.ravel()], axis=-1)
    front = viewer.depth(cameras, view, grid, size).reshape(size)
    # the least depth among a pixel's neighbours: a texel beside something in front would take on its colour
    front = ndimage.minimum_filter(np.where(front > 0, front, np.inf), size=3, mode="nearest")
    inner = ndimage.binary_erosion(mask, iterations=MASK_MARGIN, border_value=1)
    at = np.rint(pixels[kept]).astype(np.int64).clip(0, [size[1] - 1, size[0] - 1])
    focal = float(cameras.intrinsics[view, 0, 0])
    slack = DEPTH_SLACK * depth[kept] / focal / cosine
    good = (depth[kept] <= front[at[:, 1], at[:, 0]] + slack) & inner[at[:, 1], at[:, 0]]
    kept, cosine = kept[good], cosine[good]
    return kept, pixels[kept], cosine * focal / depth[kept]


def _bilinear(picture: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """``[N, 3]`` float32 colours of a uint8 picture at ``pixels [N, 2]`` (u, v)."""
    height, width = picture.shape[:2]
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    scale = torch.tensor([max(width - 1, 1), max(height - 1, 1)], dtype=torch.float32)
    grid = (torch.from_numpy(pixels.astype(np.float32)) / scale * 2 - 1).view(1, 1, -1, 2)
    sampled = torch.nn.functional.grid_sample(image, grid, align_corners=True, padding_mode="border")
    return sampled[0, :, 0].T.numpy()
