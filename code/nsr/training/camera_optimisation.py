"""Trainable poses: a quaternion and a centre per view, as IDR has them."""

from __future__ import annotations

import torch
from scipy.spatial.transform import Rotation

from nsr.scenes.cameras import Cameras


class TrainableCameras(torch.nn.Module):
    """Cameras whose poses are parameters; the intrinsics stay as given.

    Rows of the table are (w, x, y, z, centre), the layout of IDR's published camera files.  Gradients are sparse:
    only the views of a batch are touched.

    Args:
        cameras: where they start; all views.
    """

    def __init__(self, cameras: Cameras):
        super().__init__()
        poses = cameras.poses.detach().cpu().double().numpy()
        quaternions = torch.from_numpy(Rotation.from_matrix(poses[:, :3, :3]).as_quat()).roll(1, dims=1)
        vectors = torch.cat([quaternions, torch.from_numpy(poses[:, :3, 3])], dim=1).float()
        self.vectors = torch.nn.Embedding.from_pretrained(vectors, freeze=False, sparse=True)
        self.register_buffer("intrinsics", cameras.intrinsics.detach().clone(), persistent=False)

    def poses_of(self, views: torch.Tensor) -> torch.Tensor:
        """``[N, 4, 4]`` camera-to-world poses of ``views [N]``, differentiable in the table."""
        vectors = self.vectors(views)
        poses = torch.zeros(len(views), 4, 4, dtype=vectors.dtype, device=vectors.device)
        poses[:, :3, :3] = rotation_from_quaternion(vectors[:, :4])
        poses[:, :3, 3] = vectors[:, 4:]
        poses[:, 3, 3] = 1
        return poses

    def rays(self, views: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``Cameras.rays``, differentiable in the poses."""
        cameras = Cameras(self.intrinsics[views], self.poses_of(views))
        return cameras.rays(torch.arange(len(views), device=views.device), pixels)

    def current(self) -> Cameras:
        """The cameras as they are now, without gradients."""
        with torch.no_grad():
            return Cameras(self.intrinsics, self.poses_of(torch.arange(len(self.intrinsics)).to(self.intrinsics.device)))


def rotation_from_quaternion(quaternion: torch.Tensor) -> torch.Tensor:
    """``[N, 3, 3]`` rotations from quaternions ``[N, 4]`` (w, x, y, z) of any length but zero; differentiable."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=1).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(-1, 3, 3)
