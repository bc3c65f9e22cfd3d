"""Trainable cameras: a quaternion and a centre per view, as IDR has them, or a preconditioned motion in se(3).

A camera that turns about its own centre and one that moves sideways shift a picture alike, so that quaternion and
centre are ill-conditioned: the motion that tells them apart, an orbit round the object, moves pixels far less than
either does alone.  The se(3) parameters are whitened by what they do to the picture (Park et al., "CamP: camera
preconditioning for neural radiance fields", 2023), so that every parameter moves pixels about as much.
"""

from __future__ import annotations

import torch
from scipy.spatial.transform import Rotation

from nsr.errors import ConfigError
from nsr.scenes.cameras import Cameras

PARAMETERS = ("quaternion", "se3")
DAMPING = 0.1  # of the preconditioner, a part of the diagonal (CamP's)
PROBES = 512  # points in the unit sphere that it is made from


class TrainableCameras(torch.nn.Module):
    """Cameras whose poses are parameters, and on request one focal length.

    ``quaternion``: rows of ``vectors`` are (w, x, y, z, centre), the layout of IDR's published camera files.
    ``se3``: rows z of ``motions`` ``[V, 6]`` move the given cameras: ``pose = exp(P z) given``, with P of
    ``whitening``; a unit of z moves what the camera sees by about one radian as it sees it.  Gradients are sparse: only
    the views of a batch are touched.

    Args:
        cameras: where they start; all views.
        parameters: quaternion | se3.
        focal_length: whether one factor on the focal lengths (both axes, all views) is a parameter, too.

    Raises:
        ConfigError: unknown parameters.
    """

    def __init__(self, cameras: Cameras, parameters: str = "quaternion", focal_length: bool = False):
        super().__init__()
        if parameters not in PARAMETERS:
            raise ConfigError(f"train.camera_parameters is {parameters!r}; known are {', '.join(PARAMETERS)}")
        self.parameterisation = parameters
        if parameters == "quaternion":
            vectors = quaternions_and_centres(cameras.poses).float()
            self.vectors = torch.nn.Embedding.from_pretrained(vectors, freeze=False, sparse=True)
        else:
            start = cameras.poses.detach()
            self.motions = torch.nn.Embedding.from_pretrained(
                start.new_zeros(len(cameras), 6), freeze=False, sparse=True
            )
            self.register_buffer("start", start.clone())
            self.register_buffer("whitening", whitening(cameras).to(start))
        self.log_focal_factor = torch.nn.Parameter(cameras.poses.new_zeros(())) if focal_length else None
        self.register_buffer("intrinsics", cameras.intrinsics.detach().clone(), persistent=False)

    def optimisers(self, rate: float) -> list[torch.optim.Optimizer]:
        """One for the table of poses, whose gradients are sparse, and one for the focal length where it is trained."""
        table = self.vectors if self.parameterisation == "quaternion" else self.motions
        optimisers: list[torch.optim.Optimizer] = [torch.optim.SparseAdam(list(table.parameters()), lr=rate)]
        if self.log_focal_factor is not None:
            optimisers.append(torch.optim.Adam([self.log_focal_factor], lr=rate))
        return optimisers

    def poses_of(self, views: torch.Tensor) -> torch.Tensor:
        """``[N, 4, 4]`` camera-to-world poses of ``views [N]``, differentiable in the table."""
        if self.parameterisation == "se3":
            seen, which = views.unique(return_inverse=True)
            return moved_poses(self.motions(seen), self.whitening[seen], self.start[seen])[which]
        vectors = self.vectors(views)
        poses = torch.zeros(len(views), 4, 4, dtype=vectors.dtype, device=vectors.device)
        poses[:, :3, :3] = rotation_from_quaternion(vectors[:, :4])
        poses[:, :3, 3] = vectors[:, 4:]
        poses[:, 3, 3] = 1
        return poses

    @torch.no_grad()
    def place(self, views: list[int], poses: torch.Tensor) -> None:
        """Put the cameras of ``views`` to ``poses [N, 4, 4]``, from where they are refined further."""
        if self.parameterisation == "se3":
            self.start[views] = poses.to(self.start)
            self.motions.weight[views] = 0
        else:
            self.vectors.weight[views] = quaternions_and_centres(poses).to(self.vectors.weight)

    def scaled_intrinsics(self, views: torch.Tensor) -> torch.Tensor:
        """``[N, 3, 3]`` intrinsics of ``views [N]``, differentiable in the focal length where it is trained."""
        intrinsics = self.intrinsics[views]
        if self.log_focal_factor is None:
            return intrinsics
        # Focal lengths and skew scale; the principal point stays.
        factors = torch.ones_like(intrinsics[0])
        factors[:2, :2] = self.log_focal_factor.exp()
        return intrinsics * factors

    def select(self, views: torch.Tensor) -> Cameras:
        """As ``Cameras.select``, differentiable in the parameters."""
        return Cameras(self.scaled_intrinsics(views), self.poses_of(views))

    def rays(self, views: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As ``Cameras.rays``, differentiable in the parameters."""
        return self.select(views).rays(torch.arange(len(views), device=views.device), pixels)

    def current(self) -> Cameras:
        """The cameras as they are now, without gradients."""
        with torch.no_grad():
            views = torch.arange(len(self.intrinsics)).to(self.intrinsics.device)
            return self.select(views)


def whitening(cameras: Cameras) -> torch.Tensor:
    """``[V, 6, 6]`` matrices P that make twists ``P z`` of about equal effect on the picture.

    ``P = (J^T J + damping diag(J^T J))^(-1/2)`` with J the derivative of where points spread through the unit sphere
    project, in the plane at depth 1, by the twist (CamP, eq. 7, there in pixels), and J^T J its mean over the points.
    """
    poses = cameras.poses.detach().double()
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(PROBES, 3, generator=generator, dtype=torch.float64)
    probes = probes / probes.norm(dim=1, keepdim=True) * torch.rand(PROBES, 1, generator=generator).double() ** (1 / 3)
    probes = probes.to(poses.device)
    offsets = probes - poses[:, None, :3, 3]
    x, y, depth = (offsets @ poses[:, :3, :3]).unbind(-1)
    depth = depth.clamp_min(0.1)  # points beside or behind a camera that stands in the sphere would count for too much
    # The camera moves by (turn x p + shift) where it sees a point p: the point moves against it.
    zero = torch.zeros_like(x)
    by_point = torch.stack(
        [torch.stack([1 / depth, zero, -x / depth**2], -1), torch.stack([zero, 1 / depth, -y / depth**2], -1)], -2
    ) @ poses[:, None, :3, :3].transpose(-1, -2)
    cross = _cross_matrix(probes).expand(len(poses), -1, -1, -1)
    jacobian = torch.cat([by_point @ cross, -by_point], dim=-1)  # -(turn x p) = [p]x turn
    normal = (jacobian.transpose(-1, -2) @ jacobian).mean(1)
    normal = normal + DAMPING * torch.diag_embed(normal.diagonal(dim1=-2, dim2=-1))
    values, vectors = torch.linalg.eigh(normal)
    return vectors @ torch.diag_embed(values.rsqrt()) @ vectors.transpose(-1, -2)


def moved_poses(motions: torch.Tensor, whitening: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """``exp(P z) poses`` for ``poses [N, 4, 4]``, z = ``motions [N, 6]`` and P = ``whitening [N, 6, 6]``.

    Differentiable.  The twists ``P z`` are (turn, shift) in the frame of the poses, about its origin.
    """
    twists = (whitening @ motions.unsqueeze(-1)).squeeze(-1)
    return torch.linalg.matrix_exp(_twist_matrix(twists)) @ poses


def quaternions_and_centres(poses: torch.Tensor) -> torch.Tensor:
    """``[N, 7]`` float64 rows (w, x, y, z, centre) of poses ``[N, 4, 4]``, on the CPU; not differentiable."""
    poses = poses.detach().cpu().double()
    quaternions = torch.from_numpy(Rotation.from_matrix(poses[:, :3, :3].numpy()).as_quat()).roll(1, dims=1)
    return torch.cat([quaternions, poses[:, :3, 3]], dim=1)


def rotation_from_quaternion(quaternion: torch.Tensor) -> torch.Tensor:
    """``[N, 3, 3]`` rotations from quaternions ``[N, 4]`` (w, x, y, z) of any length but zero; differentiable."""
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=1).unbind(1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def _cross_matrix(vectors: torch.Tensor) -> torch.Tensor:
    """``[..., 3, 3]`` matrices of the cross product with ``vectors [..., 3]``."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


def _twist_matrix(twists: torch.Tensor) -> torch.Tensor:
    """``[N, 4, 4]`` elements of se(3) from ``[N, 6]`` (turn, shift)."""
    upper = torch.cat([_cross_matrix(twists[:, :3]), twists[:, 3:].unsqueeze(-1)], dim=-1)
    return torch.nn.functional.pad(upper, (0, 0, 0, 1))
