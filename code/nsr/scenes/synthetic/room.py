"""A room round the object: the inside of a textured cube."""

from __future__ import annotations

import torch
from torch import Tensor

from nsr.scenes.synthetic.surfaces import Hits
from nsr.scenes.synthetic.texture import WaveTexture


class Room:
    """The inside of the cube [-half_size, half_size]^3; rays must start in it.  Its normals point inward."""

    def __init__(self, half_size: float, texture: WaveTexture) -> None:
        self._half_size = half_size
        self._texture = texture

    def first_hit(self, origins: Tensor, directions: Tensor) -> Hits:
        """Every ray's exit from the cube."""
        side = torch.where(directions < 0, -1.0, 1.0)
        # A ray parallel to a wall never reaches it: its distance is infinite.
        distances, axes = ((side * self._half_size - origins) / directions.abs().clamp(min=1e-12) * side).min(-1)
        points = origins + distances.unsqueeze(-1) * directions
        normals = torch.zeros_like(points).scatter_(1, axes.unsqueeze(-1), -side.gather(1, axes.unsqueeze(-1)))
        rays = torch.arange(len(points), device=points.device)
        return Hits(rays, distances, points, normals, self._texture.albedo(points))
