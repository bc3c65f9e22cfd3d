"""The textured sphere's exact depths and normals, ray by ray in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from nsr.priors.conversion import ViewFrame


@dataclass
class SphereMaps:
    """Of one view: ``z`` along the optical axis and ``ray`` length ``[H, W]`` in the normalised frame (0: nothing),
    ``normal [H, W, 3]`` unit in the normalised frame, ``mask [H, W]``."""

    z: np.ndarray
    ray: np.ndarray
    normal: np.ndarray
    mask: np.ndarray
    frame: ViewFrame


@pytest.fixture(scope="session")
def sphere_maps(sphere_truth):
    """view -> its exact maps."""

    def maps(view: int) -> SphereMaps:
        height, width = sphere_truth.size
        cameras = sphere_truth.cameras
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        pixels = torch.stack([u, v], dim=-1).reshape(-1, 2).double()
        origins, directions = cameras.rays(torch.full((len(pixels),), view), pixels)
        along = (origins * directions).sum(1)
        root = along**2 - (origins**2).sum(1) + sphere_truth.radius**2
        mask = root > 0
        ray = torch.where(mask, -along - root.clamp_min(0).sqrt(), 0)
        points = origins + ray.unsqueeze(1) * directions
        normal = torch.where(mask.unsqueeze(1), points / sphere_truth.radius, 0)
        _, depth = cameras.project(torch.full((len(pixels),), view), points)
        z = torch.where(mask, depth, 0)
        frame = ViewFrame(
            cameras.intrinsics[view].numpy(), cameras.poses[view].numpy(), sphere_truth.scale_mat, sphere_truth.size
        )
        z, ray, mask = (values.view(height, width).numpy() for values in (z, ray, mask))
        return SphereMaps(z, ray, normal.view(height, width, 3).numpy(), mask, frame)

    return maps
