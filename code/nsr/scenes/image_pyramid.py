"""Pictures at several resolutions in one buffer, cut by their masks, to be sampled anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import torch

OUTSIDE = 0  # what pixels off the object hold; those on it hold at least 1


class ImagePyramid:
    """Grey or coloured pictures of several views, each level half as fine as the one before.

    Every pixel is one byte a channel; 0 says that it lies outside the mask, so that no second buffer is needed to know
    where the object is.  A pixel of a coarser level is the mean of four, and on the object if all four are.

    Attributes:
        values: ``[C, pixels]`` uint8, view by view and in each level by level, rows of pixels.
        starts, heights, widths: ``[V, L]`` int64, where each level begins and its size.

    Args:
        images: per view ``[H, W, 3]`` uint8; masks: per view ``[H, W]`` bool.
        levels: L; level 0 is the picture itself.
        colour: three channels instead of their luminance (ITU-R BT.601).
    """

    def __init__(
        self,
        images: Sequence[torch.Tensor],
        masks: Sequence[torch.Tensor],
        levels: int = 3,
        colour: bool = False,
        device: torch.device | str = "cpu",
    ):
        self.levels = levels
        sizes = torch.tensor([[_level_size(mask.shape, level) for level in range(levels)] for mask in masks])
        counts = sizes.prod(-1).view(-1)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        self.values = torch.empty(3 if colour else 1, int(starts[-1]), dtype=torch.uint8, device=device)
        place = 0
        for image, mask in zip(images, masks, strict=True):
            value, inside = image.to(torch.float32), mask.clone()
            if not colour:
                value = value @ torch.tensor([[0.299], [0.587], [0.114]], device=value.device)
            for level in range(levels):
                if level:
                    value, inside = _halve(value, inside)
                stored = value.round().clamp(OUTSIDE + 1, 255).to(torch.uint8)
                stored = stored.masked_fill(~inside.unsqueeze(-1), OUTSIDE)
                self.values[:, place : place + inside.numel()] = stored.view(-1, len(self.values)).T.to(device)
                place += inside.numel()
        self.starts = starts[:-1].view(-1, levels).to(device)
        self.heights, self.widths = sizes[..., 0].to(device), sizes[..., 1].to(device)

    def sample(
        self, views: torch.Tensor, levels: torch.Tensor, pixels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Bilinear values of patches.

        Args:
            views, levels: ``[Q]`` int64, of each patch.
            pixels: ``[Q, P, 2]`` (u, v) in pixels of **level 0**, (0, 0) the centre of the first pixel.

        Returns:
            values ``[Q, P, C]`` in grey levels, 1 to 255, differentiable (once) in ``pixels``; and ``[Q, P]`` bool,
            whether all four neighbours are inside the frame and on the object, elsewhere the value means nothing.
        """
        scale = torch.exp2(-levels.to(pixels.dtype)).view(-1, 1, 1)
        at = (pixels + 0.5) * scale - 0.5
        index = (self.starts[views, levels], self.heights[views, levels], self.widths[views, levels])
        return _Bilinear.apply(self.values, *(entry.unsqueeze(1) for entry in index), at)


class _Bilinear(torch.autograd.Function):
    """Bilinear interpolation whose slopes are kept from the forward pass."""

    @staticmethod
    def forward(context, planes, start, height, width, at):
        at = at.detach()
        low = at.floor()
        column, row = low[..., 0].long(), low[..., 1].long()
        # Whole numbers are bounded, not coordinates: of NaN or of what is far away any whole number may have become.
        left = torch.minimum(column, width - 2).clamp_min(0)
        top = torch.minimum(row, height - 2).clamp_min(0)
        inside = (left == column) & (top == row)
        first = start + top * width + left
        # A picture of one row or column has no square of four pixels: nothing in it is inside.
        last = planes.shape[1] - 1
        corners = [(first + step).clamp_max(last).view(-1) for step in (0, 1, width, width + 1)]
        # One plane at a time: gathering single bytes is what index_select is quick at.
        taken = [torch.stack([plane.index_select(0, corner) for plane in planes], -1) for corner in corners]
        for corner in taken:
            inside = inside & (corner[:, 0] != OUTSIDE).view(inside.shape)
        a, b, c, d = (corner.to(at.dtype).view(*inside.shape, len(planes)) for corner in taken)
        x, y = (at - low).unsqueeze(-2).unbind(-1)
        top_slope, bottom_slope = b - a, d - c
        upper = torch.addcmul(a, x, top_slope)
        along_v = torch.addcmul(c, x, bottom_slope) - upper
        context.save_for_backward(torch.lerp(top_slope, bottom_slope, y), along_v)
        context.mark_non_differentiable(inside)
        return torch.addcmul(upper, y, along_v), inside

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient, _):
        along_u, along_v = context.saved_tensors
        slopes = torch.stack([(gradient * along_u).sum(-1), (gradient * along_v).sum(-1)], dim=-1)
        return None, None, None, None, slopes


def _level_size(size: Sequence[int], level: int) -> list[int]:
    return [max(length >> level, 1) for length in size]


def _halve(value: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of 2 x 2 pixels, and which of them lie all on the object; a last odd row or column is dropped."""
    height, width = _level_size(inside.shape, 1)
    if min(inside.shape) < 2:
        return value[:height, :width], torch.zeros_like(inside[:height, :width])
    value, inside = value[: 2 * height, : 2 * width], inside[: 2 * height, : 2 * width]
    return value.view(height, 2, width, 2, -1).mean((1, 3)), inside.view(height, 2, width, 2).all(3).all(1)
