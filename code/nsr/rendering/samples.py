"""Where a ray is sampled: even depths first, then depths where its weight lies."""

from __future__ import annotations

import torch


def even_depths(near: torch.Tensor, far: torch.Tensor, sections: int) -> torch.Tensor:
    """``[R, sections + 1]`` ascending depths from ``near [R]`` to ``far [R]``, ends included, the others jittered.

    Each inner depth is drawn from the part of the ray that is nearest to its place among even ones.
    """
    steps = torch.arange(sections + 1, dtype=near.dtype, device=near.device).expand(len(near), -1)
    jitter = torch.rand(len(near), sections - 1, dtype=near.dtype, device=near.device) - 0.5
    fractions = (steps + torch.nn.functional.pad(jitter, (1, 1))) / sections
    return near.unsqueeze(1) + (far - near).unsqueeze(1) * fractions


def depths_by_weight(
    depths: torch.Tensor, weights: torch.Tensor, sections: int, negligible: float = 1e-3
) -> torch.Tensor:
    """Narrow a ray's sampling to the band where its weight lies.

    The inverse of the weights' cumulative distribution at stratified positions, as in NeRF (Mildenhall et al. 2020,
    section 5.2), with these differences: the first and last depth are the band's ends, so that no weight is lost
    before or behind the samples, and each section shares a tenth of its weight with its neighbours, since the jump
    may truly lie there.

    Args:
        depths: ``[R, K + 1]`` ascending; weights: ``[R, K]`` of the sections between them.
        sections: M, of the result.
        negligible: sections with less weight than this, as a part of the ray's, are left out of the band.

    Returns:
        ``[R, M + 1]`` ascending depths; even over the whole ray where it has no weight at all.
    """
    padded = torch.nn.functional.pad(weights, (1, 1))
    shared = weights + 0.1 * (padded[:, :-2] + padded[:, 2:])
    total = shared.sum(1, keepdim=True)
    shared = torch.where(shared > negligible * total, shared, torch.zeros_like(shared))
    shared = torch.where(total > 1e-6, shared, torch.ones_like(shared))
    cumulative = torch.nn.functional.pad((shared / shared.sum(1, keepdim=True)).cumsum(1), (1, 0))
    steps = torch.arange(sections + 1, dtype=depths.dtype, device=depths.device).expand(len(depths), -1)
    jitter = torch.rand(len(depths), sections - 1, dtype=depths.dtype, device=depths.device) - 0.5
    position = (steps + torch.nn.functional.pad(jitter, (1, 1))) / sections
    # The section of each position; the ends of the band are the outermost sections that have weight.
    first = (shared > 0).to(torch.uint8).argmax(1, keepdim=True)
    last = shared.shape[1] - 1 - (shared > 0).flip(1).to(torch.uint8).argmax(1, keepdim=True)
    section = (torch.searchsorted(cumulative, position.contiguous(), right=True) - 1).maximum(first).minimum(last)
    low, high = cumulative.gather(1, section), cumulative.gather(1, section + 1)
    fraction = ((position - low) / (high - low).clamp_min(1e-9)).clamp(0, 1)
    start = depths.gather(1, section)
    return start + fraction * (depths.gather(1, section + 1) - start)
