"""Without masks: what the background explains as well is no object."""

from __future__ import annotations

import torch

from nsr.rendering.volume import VolumeRendering
from nsr.training.pixel_sampler import PixelBatch

CELLS = 24  # of the grid over [-1, 1]^3, along an axis
MEMORY = 0.98  # of a step's errors, what is left of them in the next: evidence is of the last fifty steps or so
START = 0.4  # of the volume stage: before, neither object nor background have colours worth comparing
DEMANDED = (1.1, 1.4)  # the background's error over the object's, at the start and at the end of the stage


class Carving:
    """Wears the surface away where the background alone is nearly as good an explanation of the photographs.

    A field that starts as a sphere may keep a part of it and paint there what is behind.  Colours hold such a part in
    its place: it is opaque, so no light from behind pulls at it.  But other views have seen what it hides, and the
    background knows it: were the part not there, errors would be no larger.  Errors of single rays overlap, so they
    are summed in a grid, by where rays meet the surface, and judged with those of the neighbouring cells.

    Attributes:
        errors: ``[2, CELLS, CELLS, CELLS]`` of object and background, absolute, fading.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.errors = torch.zeros(2, CELLS, CELLS, CELLS, device=device)

    def __call__(self, rendering: VolumeRendering, batch: PixelBatch, progress: float) -> torch.Tensor:
        """Minus the mean SDF at surface points that are to give way, over all rays of the batch; takes note of its
        errors first.

        Args:
            rendering: of a scene with a background; differentiable in the SDF.
            batch: its pixels.
            progress: of the volume stage, 0 to 1.
        """
        covered = rendering.covered
        with torch.no_grad():
            target = batch.rgb[covered.rays]
            cells = self._cells(covered.points)
            self.errors *= MEMORY
            for errors, rgb in zip(self.errors.view(2, -1), (rendering.rgb[covered.rays], covered.rgb), strict=True):
                errors.index_add_(0, cells, (rgb.clamp(-1, 1) - target).abs().sum(1).to(errors))
            if progress < START:
                return rendering.opacity.new_zeros(())
            least, most = DEMANDED
            demanded = least + (most - least) * (progress - START) / (1 - START)
            of_object, of_background = torch.nn.functional.avg_pool3d(self.errors, 3, 1, 1).view(2, -1)[:, cells]
            gives_way = of_background < demanded * of_object
        return -torch.where(gives_way, covered.sdf, 0).sum() / len(batch.mask)

    def _cells(self, points: torch.Tensor) -> torch.Tensor:
        """``[N]`` int64, the cell of points ``[N, 3]``."""
        x, y, z = ((points + 1) * (CELLS / 2)).long().clamp(0, CELLS - 1).unbind(1)
        return (x * CELLS + y) * CELLS + z
