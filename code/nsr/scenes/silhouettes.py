"""What masks say about space: a point that projects outside a silhouette is at least so far from the object."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from nsr.scenes.cameras import Cameras


class Silhouettes:
    """Signed distances to the outlines of masks, in pixels and in space.

    For a point x seen by a camera at z-depth z, whose pixel is d pixels outside the mask, the object is at least
    about ``z * d / focal`` away: x lies that far from the cone through the outline, and the object is inside the
    cone.  What projects outside the frame is **unknown**, not empty, and so is what lies beyond a border that cuts
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
        self.heights = torch.tensor([mask.shape[0] for mask in masks])
        self.widths = torch.tensor([mask.shape[1] for mask in masks])
        for mask in masks:
            stride = max(1, -(-max(mask.shape) // largest))
            distance = signed_mask_distance(mask.cpu().numpy())[stride // 2 :: stride, stride // 2 :: stride]
            self.images.append(torch.from_numpy(np.ascontiguousarray(distance)).half().to(cameras.poses.device))
            self.scales.append(stride)

    def distance(self, view: int, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Signed distance ``[N]`` in space from ``points [N, 3]`` to one view's silhouette cone, positive outside.

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
        focal = (intrinsics[0, 0] + intrinsics[1, 1]) / 2
        return sampled * depth / focal, inside


def signed_mask_distance(mask: np.ndarray) -> np.ndarray:
    """Signed distance ``[H, W]`` float32 in pixels from pixel centres to a mask's outline, negative inside.

    The outline runs half way between the centres of pixels on either side.  In a view whose border cuts the object,
    a background pixel is no farther from what may be object than from the nearest cut stretch of the border.
    """
    height, width = mask.shape
    limit = float(np.hypot(height, width))
    if mask.all():
        return np.full(mask.shape, -limit, dtype=np.float32)
    # Mask pixels on the border continue outside the frame, so the mask is grown by one replicated ring.
    padded = np.pad(mask, 1, mode="edge")
    outside = ndimage.distance_transform_edt(~padded) if mask.any() else np.full(padded.shape, limit)
    inside = ndimage.distance_transform_edt(padded)
    signed = np.where(padded, 0.5 - inside, outside - 0.5)
    return signed[1:-1, 1:-1].astype(np.float32)
