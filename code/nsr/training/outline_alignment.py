"""Rough cameras brought to agree with the masks' outlines, before there is any surface.

A plane through two camera centres that touches the object touches both its outlines: the two planes that do so in one
picture are those that do so in the other (Wong and Cipolla, "Structure and motion from silhouettes", 2001; Hernandez,
Schmitt and Cipolla, "Silhouette coherence for camera calibration under circular motion", 2007).  With V views that is
some 2 V^2 equations for 6 V unknowns, each as exact as an outline, and solved in seconds.
"""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from nsr.scenes.cameras import Cameras
from nsr.scenes.scene import Scene
from nsr.scenes.similarity import align_poses
from nsr.training.camera_optimisation import moved_poses, whitening

logger = logging.getLogger("nsr")

OUTLINE_NOISE = 1.0  # pixels; residuals beyond two of them count less and less (Cauchy)
PRIOR = 0.05  # how far cameras may be off, in the radians of ``whitening``
FAR = 4.0  # times the median motion: a camera that moves farther and still
MISFIT = 2.0  # misses by this many times the median has a wrong mask
SMALL_PIECE = 0.01  # of the largest piece of a mask: smaller ones are taken for specks
LEAST_COSINE = 0.05  # of the angle, round the baseline, between an outline's rays and the object's middle
FEWEST_PAIRS = 3  # of a view with others, on average, below which outlines say too little
_DAMPING, _LEAST_DAMPING, _TRIES = 1e-3, 1e-6, 6


@dataclass
class Outlines:
    """Convex hulls of the masks: what planes touch.

    Attributes:
        rays: ``[V, M, 3]`` unit, in each camera's frame; shorter hulls repeat a corner.
        cut: ``[V, M]`` bool, corners on the frame's border, where the object may go on.
    """

    rays: torch.Tensor
    cut: torch.Tensor


def with_outlines_aligned(scene: Scene, steps: int) -> Scene:
    """The scene with the cameras of its training views brought into agreement; the others stay, and are not looked
    at."""
    views = scene.train_views
    aligned = align_outlines([scene.masks[view] for view in views], scene.cameras.select(views), steps)
    poses = scene.cameras.poses.clone()
    poses[views] = aligned.poses
    return dataclasses.replace(scene, cameras=Cameras(scene.cameras.intrinsics, poses))


def align_outlines(masks: list[torch.Tensor], cameras: Cameras, steps: int) -> Cameras:
    """Refine poses until outlines agree, by damped Gauss-Newton steps on all pairs of views.

    For each pair of views and either of the two planes through their centres that touch one's outline, the residual is
    the angle between that plane and the other view's touching ray, both ways.  Pairs whose baseline runs through the
    object, and tangents at the frame's border, do not count.  The frame is kept: a similarity brings the result back to
    where the given cameras are.  Not differentiable.

    Args:
        masks: per view ``[H, W]`` bool; cameras: of the same views, in the normalised frame; intrinsics stay.
        steps: the most that are taken; it ends where none makes things better.

    Returns:
        cameras of the same dtype on the same device; the given ones where fewer than three views have masks that can
        be compared.
    """
    start = Cameras(cameras.intrinsics.detach().cpu().double(), cameras.poses.detach().cpu().double())
    problem = OutlineProblem(start, outlines_of(masks, start))
    before = problem.residuals(torch.zeros(len(start), 6, dtype=torch.float64))
    if not problem.enough(before):
        logger.warning("outlines are not aligned: too few pairs of views have outlines that can be compared")
        return cameras
    motions, after = _solve(problem, steps)
    distances, misfits = motions.norm(dim=1), problem.misfits(after)
    lost = (distances > max(float(FAR * distances.median()), PRIOR)) & (misfits > MISFIT * misfits.nanmedian())
    if lost.any():
        # A mask that fits no camera takes its own away and bends the others; without it they agree.
        logger.warning(
            "the outlines of %d of %d views fit no camera near the given one: those stay as given",
            lost.sum(), len(lost),
        )  # fmt: skip
        problem.used = ~lost
        motions, after = _solve(problem, steps)
    poses = moved_poses(motions, problem.whitening, start.poses).numpy()
    poses = align_poses(poses, start.poses.numpy()).poses(poses)
    logger.info(
        "outlines of %d views are aligned: the median distance between their tangents fell from %.2f to %.2f pixels",
        len(start), before.median(), after.median(),
    )  # fmt: skip
    return Cameras(cameras.intrinsics, torch.from_numpy(poses).to(cameras.poses))


def _solve(problem: OutlineProblem, steps: int) -> tuple[torch.Tensor, _State]:
    """Motions ``[V, 6]`` that make the residuals small, by Levenberg and Marquardt's method, and what is left."""
    motions = torch.zeros(len(problem.start), 6, dtype=torch.float64)
    state, damping = problem.residuals(motions), _DAMPING
    for _ in range(steps):
        normal, slope = problem.normal_equations(motions, state)
        for _ in range(_TRIES):
            damped = normal + damping * torch.diag(normal.diagonal())
            trial = motions - torch.linalg.solve(damped, slope).view_as(motions)
            trial_state = problem.residuals(trial)
            if trial_state.cost < state.cost:
                break
            damping *= 5
        else:
            break
        motions, state, damping = trial, trial_state, max(damping / 5, _LEAST_DAMPING)
    return motions, state


@dataclass
class _State:
    """Residuals at some motions.

    Attributes:
        cost: to be made small.
        residuals: ``[pairs, 4]`` in units of the outlines' noise; counted: ``[pairs, 4]`` bool.
        first, second: ``[pairs, 2, 3]`` the touching rays, in their cameras' frames.
    """

    cost: float
    residuals: torch.Tensor
    counted: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor

    def median(self) -> float:
        """Of the residuals that count, in pixels."""
        return OUTLINE_NOISE * float(self.residuals[self.counted].abs().median())


class OutlineProblem:
    """Residuals of all pairs of views by motions ``[V, 6]`` (of ``whitening``) from where cameras start.

    Args:
        start: float64, on the CPU; outlines: of the same views; whitenings: ``[V, 6, 6]``, made where it is not given.
    """

    def __init__(self, start: Cameras, outlines: Outlines, whitenings: torch.Tensor | None = None):
        self.start, self.outlines = start, outlines
        self.whitening = whitening(start) if whitenings is None else whitenings
        self.used = torch.ones(len(start), dtype=torch.bool)
        self.first, self.second = torch.triu_indices(len(start), len(start), 1)
        focal = start.intrinsics[:, 0, 0]
        # Residuals are angles in the second view of a pair, then in the first.
        self.noise = OUTLINE_NOISE / torch.stack([focal[self.second], focal[self.first]], 1).repeat_interleave(2, 1)

    def residuals(self, motions: torch.Tensor) -> _State:
        first, second, counted = self._tangents(moved_poses(motions, self.whitening, self.start.poses))
        residuals = torch.func.vmap(_residuals)(*self._of_pairs(motions), first, second) / self.noise
        robust = torch.where(counted, 4 * torch.log1p(residuals**2 / 4), 0.0)
        cost = robust.sum() * self._weight(counted) + (motions / PRIOR).square().sum()
        return _State(float(cost), residuals, counted, first, second)

    def misfits(self, state: _State) -> torch.Tensor:
        """``[V]`` median of the residuals that count of each view's pairs; NaN where none does."""
        sizes = torch.where(state.counted, state.residuals.abs(), torch.nan)
        views = range(len(self.start))
        return torch.stack([sizes[(self.first == view) | (self.second == view)].nanmedian() for view in views])

    def normal_equations(self, motions: torch.Tensor, state: _State) -> tuple[torch.Tensor, torch.Tensor]:
        """Matrix ``[6V, 6V]`` and right-hand side ``[6V]`` of a Gauss-Newton step, reweighted for the robust cost."""
        jacobian = torch.func.vmap(torch.func.jacfwd(_residuals, argnums=(0, 1)))
        by_first, by_second = jacobian(*self._of_pairs(motions), state.first, state.second)
        weights = torch.where(state.counted, 1 / (1 + state.residuals**2 / 4), 0.0) * self._weight(state.counted)
        by_motion = (by_first / self.noise.unsqueeze(-1), by_second / self.noise.unsqueeze(-1))
        views, count = (self.first, self.second), len(self.start)
        blocks = torch.zeros(count, count, 6, 6, dtype=torch.float64)
        slope = motions / PRIOR**2
        for row, by_row in zip(views, by_motion):
            weighted = (weights.unsqueeze(-1) * by_row).transpose(1, 2)
            slope = slope.index_add(0, row, (weighted @ state.residuals.unsqueeze(-1)).squeeze(-1))
            for column, by_column in zip(views, by_motion):
                blocks.index_put_((row, column), weighted @ by_column, accumulate=True)
        normal = blocks.transpose(1, 2).reshape(motions.numel(), motions.numel())
        return normal + torch.eye(motions.numel(), dtype=torch.float64) / PRIOR**2, slope.flatten()

    def evidence(self, linearise: bool) -> tuple[float, np.ndarray | None, np.ndarray | None]:
        """The cost where the cameras stand, and by motions half its Gauss-Newton matrix ``[6V, 6V]`` and half its slope
        ``[6V]``: every residual weighs by its own noise, as features' do."""
        motions = torch.zeros(len(self.start), 6, dtype=torch.float64)
        state = self.residuals(motions)
        alone = 1 / self._weight(state.counted)
        if not linearise:
            return alone * state.cost, None, None
        normal, slope = self.normal_equations(motions, state)
        normal = normal - torch.eye(len(normal), dtype=torch.float64) / PRIOR**2
        return alone * state.cost, alone * normal.numpy(), alone * slope.numpy()

    def enough(self, state: _State) -> bool:
        """Whether outlines say as much as it takes to move the cameras."""
        return bool(state.counted.sum() >= 4 * FEWEST_PAIRS * len(self.start) / 2)

    def _weight(self, counted: torch.Tensor) -> float:
        """Outlines' residuals are not independent: together they weigh as much as one for each unknown."""
        return 6 * len(self.start) / max(int(counted.sum()), 1)

    def _of_pairs(self, motions: torch.Tensor) -> list[torch.Tensor]:
        tables = (motions, self.whitening, self.start.poses)
        return [table[views] for table in tables for views in (self.first, self.second)]

    def _tangents(self, poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The rays of both views at which planes through their centres touch the outlines, and which count."""
        rays = self.outlines.rays @ poses[:, :3, :3].transpose(1, 2)
        centres = poses[:, :3, 3]
        baseline = torch.nn.functional.normalize(centres[self.second] - centres[self.first], dim=1)
        inward = -(centres[self.second] + centres[self.first]) / 2
        inward = inward - (inward * baseline).sum(1, keepdim=True) * baseline
        inward = torch.nn.functional.normalize(inward, dim=1)
        sideways = torch.linalg.cross(baseline, inward)
        counted = self.used[self.first] & self.used[self.second]
        touching, whole = [], []
        for views in (self.first, self.second):
            cosine = (rays[views] @ inward.unsqueeze(-1)).squeeze(-1)
            counted = counted & (cosine > LEAST_COSINE).all(1)
            tangent = (rays[views] @ sideways.unsqueeze(-1)).squeeze(-1) / cosine.clamp_min(LEAST_COSINE)
            extremes = torch.stack([tangent.argmax(1), tangent.argmin(1)], 1)
            touching.append(self.outlines.rays[views.unsqueeze(1), extremes])
            whole.append(~self.outlines.cut[views.unsqueeze(1), extremes])
        counted = counted.unsqueeze(1) & whole[0] & whole[1]
        return *touching, counted.repeat(1, 2)


def _residuals(motion_a, motion_b, whitening_a, whitening_b, start_a, start_b, rays_a, rays_b) -> torch.Tensor:
    """``[4]`` sines of the angles between one view's touching planes and the other's touching rays, of one pair."""
    poses = moved_poses(
        torch.stack([motion_a, motion_b]), torch.stack([whitening_a, whitening_b]), torch.stack([start_a, start_b])
    )
    baseline = (poses[1, :3, 3] - poses[0, :3, 3]).expand(2, 3)
    rays_a, rays_b = rays_a @ poses[0, :3, :3].T, rays_b @ poses[1, :3, :3].T
    normal_a = torch.nn.functional.normalize(torch.linalg.cross(baseline, rays_a), dim=1)
    normal_b = torch.nn.functional.normalize(torch.linalg.cross(baseline, rays_b), dim=1)
    return torch.cat([(normal_a * rays_b).sum(1), (normal_b * rays_a).sum(1)])


def outlines_of(masks: list[torch.Tensor], cameras: Cameras) -> Outlines:
    corners, cut = zip(*(_corners(mask.cpu().numpy()) for mask in masks))
    most = max(map(len, corners))
    pixels = np.stack([np.concatenate([each, each[:1].repeat(most - len(each), 0)]) for each in corners])
    at_border = np.stack([np.concatenate([each, each[:1].repeat(most - len(each))]) for each in cut])
    homogeneous = torch.nn.functional.pad(torch.from_numpy(pixels).double(), (0, 1), value=1.0)
    rays = torch.linalg.solve(cameras.intrinsics, homogeneous.transpose(1, 2)).transpose(1, 2)
    return Outlines(torch.nn.functional.normalize(rays, dim=-1), torch.from_numpy(at_border))


def _corners(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``[N, 2]`` corners (u, v) of a mask's convex hull, and which lie at the border; all of the frame's for an empty
    mask."""
    height, width = mask.shape
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        frame = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]])
        return frame, np.ones(4, dtype=bool)
    areas = [len(contour) + cv2.contourArea(contour) for contour in contours]
    kept = [contour for contour, area in zip(contours, areas) if area > SMALL_PIECE * max(areas)]
    hull = cv2.convexHull(np.concatenate(kept))[:, 0]
    u, v = hull.T
    return hull, (u <= 1) | (v <= 1) | (u >= width - 2) | (v >= height - 2)
