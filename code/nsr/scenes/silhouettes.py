"""What masks say about space: a point that projects outside a silhouette is at least so far from the object."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage

from nsr.scenes.cameras import Cameras


class Silhouettes:
    """Signed distances to the outlines of masks, in pixels and in space.

    Where a point's pixel is d pixels outside a mask, every ray through the mask makes at least some angle with the
    point's own ray, so the point is at least ``|x| sin(angle)`` from whatever the mask shows (``x`` in the camera's
    frame).  What projects outside the frame is **unknown**, not empty, and so is what lies beyond a border that cuts
    the object.

    Args:
        masks: per view ``[H, W]`` bool.
        cameras: of the same views, in the normalised frame; distances are computed on their device.
        largest: distance images are kept at no more than this many pixels along the longer side.
    """

    def __init__(self, masks: list[torch.Tensor], cameras: Cameras, largest: int = 800):
        self.cameras = cameras
        self.views = len(masks)
        self.images: list[torch.Tensor] = []
        self.scales: list[float] = []
        self.reaches: list[torch.Tensor] = []
        self.heights = torch.tensor([mask.shape[0] for mask in masks])
        self.widths = torch.tensor([mask.shape[1] for mask in masks])
        for view, mask in enumerate(masks):
            stride = max(1, -(-max(mask.shape) // largest))
            solid = mask.cpu().numpy()
            distance = signed_mask_distance(solid)[stride // 2 :: stride, stride // 2 :: stride]
            self.images.append(torch.from_numpy(np.ascontiguousarray(distance)).half().to(cameras.poses.device))
            self.scales.append(stride)
            self.reaches.append(_reach(solid, cameras.intrinsics[view]))

    def distance(self, view: int, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Signed distance ``[N]`` in space from ``points [N, 3]`` to one view's silhouette cone, positive outside.

        It is a lower bound of the distance to the cone's outline: exact for the outermost part of a mask seen from
        farther out, smaller where the picture is wide and the mask lies sideways.

        The second result ``[N]`` bool is whether the point is in front of the camera and inside the frame; elsewhere
        the distance means nothing.
        """
        # One camera for all points: two small products, where Cameras.project would gather a matrix per point.
        pose, intrinsics = self.cameras.poses[view], self.cameras.intrinsics[view]
        in_camera = (points - pose[:3, 3]) @ pose[:3, :3]
        depth = in_camera[:, 2]
        pixels = (in_camera @ intrinsics[:2].T) / depth.clamp_min(1e-9).unsqueeze(1)
        image, stride = self.images[view], self.scales[view]
        height, width = image.shape
        full_height, full_width = int(self.heights[view]), int(self.widths[view])
        inside = (depth > 1e-3) & (pixels >= -0.5).all(1)
        inside &= (pixels[:, 0] <= full_width - 0.5) & (pixels[:, 1] <= full_height - 0.5)
        # The kept pixel j stands at the full image's pixel j * stride + stride // 2.
        kept = (pixels - stride // 2) / stride
        size = torch.tensor([max(width - 1, 1), max(height - 1, 1)], dtype=points.dtype, device=points.device)
        grid = (kept / size * 2 - 1).view(1, 1, -1, 2)
        sampled = torch.nn.functional.grid_sample(
            image.to(points.dtype).view(1, 1, height, width), grid, align_corners=True, padding_mode="border"
        ).view(-1)
        # A pixel spans at least this much of the plane at depth 1, in any direction, skew or not.
        span = sampled / torch.linalg.matrix_norm(intrinsics[:2, :2], ord=2)
        x, y = in_camera[:, 0] / depth.clamp_min(1e-9), in_camera[:, 1] / depth.clamp_min(1e-9)
        return outline_distance(span, x * x + y * y, depth, self.reaches[view]), inside


    def longer_side_span(self, view: int) -> float:
        """What the longer side of a view's image spans at the far end of the unit sphere, in space."""
        pose, intrinsics = self.cameras.poses[view], self.cameras.intrinsics[view]
        focal = torch.linalg.matrix_norm(intrinsics[:2, :2], ord=-2)
        longer = max(int(self.heights[view]), int(self.widths[view]))
        return float(longer / focal * (pose[:3, 3].norm() + 1))


def outline_distance(
    span: torch.Tensor, squared_radius: torch.Tensor, depth: torch.Tensor, reach: torch.Tensor
) -> torch.Tensor:
    """Least distance in space from a point to rays that cross the plane at depth 1 at ``span`` from its own.

    Two rays that cross that plane at p and q make an angle whose tangent is ``|(p, 1) x (q, 1)| / (1 + p . q)``, which
    is at least ``|p - q| / (1 + p . q)``, and ``p . q`` is at most ``|p|`` times the least of ``|p| + |p - q|``
    and the mask's reach.

    Args:
        span: ``[N]`` ``|p - q|``, negative inside the mask; the result has its sign.
        squared_radius: ``[N]`` ``|p|^2``; depth: ``[N]`` of the point along the optical axis.
        reach: largest ``|q|`` of a ray through the mask; it has no say inside, where q is not in the mask.
    """
    length, radius = span.abs(), squared_radius.sqrt()
    farthest = radius + length
    farthest = torch.where(span > 0, farthest.minimum(reach), farthest)
    tangent = length / (1 + radius * farthest)
    distance = depth * (1 + squared_radius).sqrt() * tangent / (1 + tangent * tangent).sqrt()
    return distance.copysign(span)


def _reach(mask: np.ndarray, intrinsics: torch.Tensor) -> torch.Tensor:
    """Largest distance from the optical axis, in the plane at depth 1, of what a mask may hold; infinite where that may
    be beyond the frame.  A scalar on the device of the intrinsics."""
    rows = np.flatnonzero(mask.any(axis=1))
    if _touches_border(mask) or len(rows) == 0:
        return torch.full_like(intrinsics[0, 0], math.inf)
    left, right = mask[rows].argmax(axis=1) - 0.5, mask.shape[1] - 0.5 - mask[rows, ::-1].argmax(axis=1)
    corners = [(u, v + half) for u, v in ((left, rows), (right, rows)) for half in (-0.5, 0.5)]
    u, v = (np.concatenate(column) for column in zip(*corners))
    homogeneous = torch.from_numpy(np.stack([u, v, np.ones_like(u)])).to(intrinsics)
    return torch.linalg.solve(intrinsics, homogeneous)[:2].norm(dim=0).max()


def _touches_border(mask: np.ndarray) -> bool:
    return bool(mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def signed_mask_distance(mask: np.ndarray) -> np.ndarray:
    """Signed distance ``[H, W]`` float32 in pixels from pixel centres to a mask's outline, negative inside.

    The outline runs half way between the centres of pixels on either side.  Where the mask meets the frame's border,
    or is empty, parts of the object may be anywhere beyond the frame: then no background pixel is farther from what
    may be object than from the frame's edge.
    """
    height, width = mask.shape
    limit = float(np.hypot(height, width))
    if mask.all():
        return np.full(mask.shape, -limit, dtype=np.float32)
    # Mask pixels on the border continue outside the frame, so the mask is grown by one replicated ring.
    padded = np.pad(mask, 1, mode="edge")
    outside = ndimage.distance_transform_edt(~padded)[1:-1, 1:-1] if mask.any() else np.full(mask.shape, limit)
    inside = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    if _touches_border(mask) or not mask.any():
        rows, columns = np.arange(height)[:, None], np.arange(width)
        edge = np.minimum(np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns)) + 1
        outside = np.minimum(outside, edge)
    return np.where(mask, 0.5 - inside, outside - 0.5).astype(np.float32)
