"""Patches of pictures: what a picture shows at given pixels, and how alike a patch is to where another view sees it.

Pictures are bytes in one buffer, several views of several resolutions (``nsr.rendering.image_pyramid``).
"""

from __future__ import annotations

import math

import torch

from nsr.ops import backend
from nsr.ops.image_patches_torch import (
    levels_in_source,
    normalised_cross_correlation,
    patch_offsets,
    picture_samples_torch,
    warp_patches,
)

MOST_SIDE = 1024  # samples along a patch's side


def picture_samples(
    values: torch.Tensor, frames: torch.Tensor, views: torch.Tensor, levels: torch.Tensor, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bilinear values of patches.

    Args:
        values: ``[C, K]`` uint8; 0 says that a pixel lies off the object.
        frames: ``[V, L, 3]`` int64: where in the buffer a view's level begins, its height and its width.
        views, levels: ``[Q]`` int64, of each patch.  That they exist is the caller's part.
        pixels: ``[Q, P, 2]`` (u, v) in pixels of **level 0**, (0, 0) the centre of the first pixel; float32 or float64.

    Returns:
        values ``[Q, P, C]`` in grey levels, 1 to 255, differentiable once in ``pixels``; and ``[Q, P]`` bool, whether
        all four neighbours are inside the frame and on the object, elsewhere the value is 0.  The bodies agree within
        roundings of float32 or float64.

    Raises:
        ValueError: shapes or types do not fit together.
        NsrError: NSR_BACKEND asks for a body that is not here.
        RuntimeError: a gradient of the gradient is asked for.
    """
    _check_types(values, frames, views, levels)
    if pixels.dim() != 3 or pixels.shape[2] != 2 or not views.shape == levels.shape == pixels.shape[:1]:
        raise ValueError(
            f"pixels must be [Q, P, 2] with views and levels [Q], got {list(pixels.shape)}, {list(views.shape)} and "
            f"{list(levels.shape)}"
        )
    return _PictureSamples.apply(values, frames, views, levels, pixels)


def patch_correlation(
    values: torch.Tensor,
    frames: torch.Tensor,
    homographies: torch.Tensor,
    centres: torch.Tensor,
    reference: torch.Tensor,
    patch: torch.Tensor,
    sources: torch.Tensor,
    spacing: float,
    level: int,
    least_variance: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised cross-correlation of patches with what source views show where homographies carry them.

    A source is sampled at the level of its pyramid at which it is as coarse as the patch was, by the area that the
    patch covers in it.  ``nsr.ops.image_patches_torch`` has the parts.

    Args:
        values, frames: the pictures, as in ``picture_samples``.
        homographies: ``[Q, 3, 3]`` from pixels of the patch's view to pixels of the source, level 0; float32 or
            float64.
        centres: ``[S, 2]`` (u, v) of the patches, in pixels of level 0.
        reference: ``[S, side * side, C]`` values of the square patches, row by row.
        patch: ``[Q]`` int64, the patch of each pair; sources: ``[Q]`` int64, the view that it is carried into.  That
            they exist is the caller's part.
        spacing: between a patch's samples, in pixels of level 0; level: of the pyramid that they were taken from.
        least_variance: variances are taken to be at least this, in squared grey levels.

    Returns:
        ``[Q]`` in [-1, 1], differentiable once in the homographies, and in them alone; and ``[Q]`` bool, whether the
        whole patch lies in front of the source, in its frame and on its object; elsewhere the correlation is 0 and has
        no gradient.

    Raises:
        ValueError: shapes or types do not fit together, or there is no such level.
        NsrError: NSR_BACKEND asks for a body that is not here.
        RuntimeError: a gradient of the gradient is asked for.
    """
    _check_types(values, frames, patch, sources)
    side = math.isqrt(reference.shape[1]) if reference.dim() == 3 else 0
    if homographies.shape[1:] != (3, 3) or not homographies.shape[:1] == patch.shape == sources.shape:
        raise ValueError(
            f"homographies must be [Q, 3, 3] with a patch and a source for each, got {list(homographies.shape)}, "
            f"{list(patch.shape)} and {list(sources.shape)}"
        )
    if (
        not 2 <= side <= MOST_SIDE
        or reference.shape[1:] != (side * side, len(values))
        or centres.shape != (len(reference), 2)
    ):
        raise ValueError(
            f"reference must be [S, side * side, {len(values)}] of square patches (side 2 to {MOST_SIDE}) with centres "
            f"[S, 2], got {list(reference.shape)} and {list(centres.shape)}"
        )
    if not 0 <= level < frames.shape[1]:
        raise ValueError(f"level is {level}, the pictures have {frames.shape[1]}")
    numbers = homographies.dtype
    centres, reference = centres.detach().to(numbers), reference.detach().to(numbers)
    if backend.runs_native("patch_correlation", homographies.device, _limits(values, numbers)):
        pictures = values.contiguous(), frames.contiguous()
        patches = centres.contiguous(), reference.contiguous()
        settings = side, float(spacing), int(level), float(least_variance)
        return _PatchCorrelation.apply(
            homographies.contiguous(), *pictures, *patches, patch.contiguous(), sources.contiguous(), *settings
        )
    offsets = patch_offsets(side, spacing, homographies.device).to(numbers)
    warped, in_front = warp_patches(homographies, centres[patch], offsets)
    levels = levels_in_source(warped, side, spacing, level, frames.shape[1])
    shown, inside = picture_samples(values, frames, sources, levels, warped)
    whole = (in_front & inside).all(1)
    alike = normalised_cross_correlation(reference[patch], shown, least_variance)
    return torch.where(whole, alike, 0), whole


class _PictureSamples(torch.autograd.Function):
    """Samples whose slopes are kept from the forward pass, by either body."""

    @staticmethod
    def forward(context, values, frames, views, levels, pixels):
        arguments = values, frames, views, levels, pixels
        if backend.runs_native("picture_samples", pixels.device, _limits(values, pixels.dtype)):
            asked = context.needs_input_grad[4]
            taken, inside, slopes = torch.ops.nsr.picture_samples(*(entry.contiguous() for entry in arguments), asked)
        else:
            taken, inside, slopes = picture_samples_torch(*arguments)
        context.save_for_backward(pixels, slopes)
        context.mark_non_differentiable(inside)
        return taken, inside

    @staticmethod
    def backward(context, gradient, _):
        pixels, slopes = context.saved_tensors
        of_pixels = _once_differentiable((gradient.unsqueeze(-1) * slopes).sum(2), pixels, gradient)
        return None, None, None, None, of_pixels


class _PatchCorrelation(torch.autograd.Function):
    """The compiled correlation; its slopes in the homographies are kept from the forward pass."""

    @staticmethod
    def forward(context, homographies, values, frames, centres, reference, patch, sources, *settings):
        arguments = values, frames, homographies, centres, reference, patch, sources
        alike, whole, slopes = torch.ops.nsr.patch_correlation(*arguments, *settings, context.needs_input_grad[0])
        context.save_for_backward(homographies, slopes)
        context.mark_non_differentiable(whole)
        return alike, whole

    @staticmethod
    def backward(context, gradient, _):
        homographies, slopes = context.saved_tensors
        return _once_differentiable(gradient.view(-1, 1, 1) * slopes, homographies, gradient), *(None,) * 10


def _once_differentiable(result: torch.Tensor, *depends_on: torch.Tensor) -> torch.Tensor:
    """A gradient that depends on other tensors in a way that it cannot tell: to differentiate it is an error.

    Torch's decorator of this name looks at the gradient that came alone: what a sum's gradient depends on would be
    lost silently.
    """
    return _OnceDifferentiable.apply(result.detach(), *depends_on) if torch.is_grad_enabled() else result


class _OnceDifferentiable(torch.autograd.Function):
    @staticmethod
    def forward(context, result, *depends_on):
        return result.clone()

    @staticmethod
    def backward(context, _):
        raise RuntimeError("patches of pictures are differentiable once: bilinear pictures have no second derivatives")


def _check_types(values: torch.Tensor, frames: torch.Tensor, *indices: torch.Tensor) -> None:
    if values.dim() != 2 or values.dtype != torch.uint8:
        raise ValueError(f"values must be uint8 [C, K], got {values.dtype} {list(values.shape)}")
    if frames.dim() != 3 or frames.shape[2] != 3:
        raise ValueError(f"frames must be [V, L, 3], got {list(frames.shape)}")
    if wrong := [tensor.dtype for tensor in (frames, *indices) if tensor.dtype != torch.int64]:
        raise ValueError(f"frames and indices must be int64, got {wrong[0]}")


def _limits(values: torch.Tensor, numbers: torch.dtype) -> str | None:
    """Why the compiled bodies do not serve these arguments, or None where they do."""
    if numbers not in (torch.float32, torch.float64):
        return f"{numbers} pixels are not compiled (float32 and float64 are)"
    return None if values.shape[0] <= 3 else f"pictures of {values.shape[0]} channels are not compiled (1 to 3 are)"
