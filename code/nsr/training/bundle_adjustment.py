"""Cameras and points that agree with what was seen, by damped Gauss-Newton steps on the reprojection errors.

Triggs et al., "Bundle adjustment: a modern synthesis" (2000): points are eliminated (Schur's complement), which leaves
six unknowns a camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from nsr.scenes.cameras import Cameras
from nsr.training.camera_optimisation import moved_poses, whitening
from nsr.training.feature_tracks import FeatureTracks
from nsr.training.outline_alignment import OutlineProblem, Outlines

LEAST_DEPTH = 0.05  # units of the normalised frame, before a camera
PRIOR = 1.0  # of a step, in the radians of ``whitening``: it holds what nothing else does
ENOUGH = 1e-4  # part of the cost: steps that gain less are the last
_DAMPING, _LEAST_DAMPING, _TRIES = 1e-3, 1e-7, 6


@dataclass
class _State:
    poses: np.ndarray
    points: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray
    cost: float


class BundleAdjustment:
    """The problem: V cameras with known intrinsics, P points, N observations.

    The cost is the sum over observations of ``log(1 + |error / noise|^2)`` (Cauchy's; wrong matches fade out) and of
    the outlines' residuals, each by its own noise.  Nothing holds the frame but the damping: a similarity may be left
    over.

    Args:
        cameras: where they start, in a frame in which the object fills the unit sphere.
        tracks: observations; noise: of them, in pixels.
        outlines: of the masks, or None.
    """

    def __init__(self, cameras: Cameras, tracks: FeatureTracks, noise: float, outlines: Outlines | None = None):
        self.intrinsics = cameras.intrinsics.detach().cpu().double().numpy()
        self.start = cameras.poses.detach().cpu().double().numpy()
        self.tracks, self.noise, self.outlines = tracks, noise, outlines
        self.whitening = whitening(Cameras(torch.from_numpy(self.intrinsics), torch.from_numpy(self.start)))

    def solve(self, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Take at most so many steps.

        Returns:
            poses ``[V, 4, 4]``, points ``[P, 3]``, and reprojection errors ``[N]`` in pixels.
        """
        state, damping = self._state(self.start, triangulate(self.tracks, self.intrinsics, self.start)), _DAMPING
        for _ in range(steps):
            system = self._system(state)
            for _ in range(_TRIES):
                trial = self._moved(state, *system.step(damping))
                if trial.cost < state.cost:
                    break
                damping *= 5
            else:
                break
            gain, state = state.cost - trial.cost, trial
            damping = max(damping / 5, _LEAST_DAMPING)
            if gain < ENOUGH * state.cost:
                break
        return state.poses, state.points, self.noise * np.linalg.norm(state.residuals, axis=1)

    def _state(self, poses: np.ndarray, points: np.ndarray) -> _State:
        pixels, depth = self._projected(poses, points)
        residuals = (pixels - self.tracks.pixels) / self.noise
        squares = np.where(depth > LEAST_DEPTH, (residuals**2).sum(axis=1), 1e6)
        cost = float(np.log1p(squares).sum())
        if self.outlines:
            cost += self._of_outlines(poses).evidence(linearise=False)[0]
        return _State(poses, points, residuals, 1 / (1 + squares), cost)

    def _projected(self, poses: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cameras = Cameras(torch.from_numpy(self.intrinsics), torch.from_numpy(poses))
        seen = torch.from_numpy(points[self.tracks.points])
        pixels, depth = cameras.project(torch.from_numpy(self.tracks.views), seen)
        return pixels.numpy(), depth.numpy()

    def _system(self, state: _State) -> _System:
        """Linearised about a state.  A camera that moves by (turn x p + shift) sees p move against it."""
        tracks, views = self.tracks, self.tracks.views
        pixels, depth = self._projected(state.poses, state.points)
        depth = np.maximum(depth, LEAST_DEPTH)
        by_camera_point = np.zeros((len(views), 2, 3))
        by_camera_point[:, :, :2] = self.intrinsics[views, :2, :2]
        by_camera_point[:, :, 2] = self.intrinsics[views, :2, 2] - pixels
        by_camera_point *= (np.sqrt(state.weights) / (self.noise * depth))[:, None, None]
        by_point = by_camera_point @ state.poses[views, :3, :3].transpose(0, 2, 1)
        by_turn = np.cross(state.points[tracks.points][:, None], by_point)
        by_motion = -np.concatenate([by_turn, by_point], axis=2) @ self.whitening.numpy()[views]
        residuals = np.sqrt(state.weights)[:, None] * state.residuals
        system = _System(by_motion, by_point, residuals, tracks, len(self.start))
        if self.outlines:
            _, normal, slope = self._of_outlines(state.poses).evidence(linearise=True)
            system.normal += normal
            system.slope += slope
        return system

    def _of_outlines(self, poses: np.ndarray) -> OutlineProblem:
        cameras = Cameras(torch.from_numpy(self.intrinsics), torch.from_numpy(poses))
        return OutlineProblem(cameras, self.outlines, self.whitening)

    def _moved(self, state: _State, motions: np.ndarray, shifts: np.ndarray) -> _State:
        poses = moved_poses(torch.from_numpy(motions), self.whitening, torch.from_numpy(state.poses)).numpy()
        return self._state(poses, state.points + shifts)


class _System:
    """Normal equations in which every point meets cameras alone.

    Args:
        by_motion: ``[N, 2, 6]``; by_point: ``[N, 2, 3]``; residuals: ``[N, 2]``, all weighted.
    """

    def __init__(self, by_motion, by_point, residuals, tracks: FeatureTracks, cameras: int):
        design = _blocks(by_motion, tracks.views, cameras)
        points = _blocks(by_point, tracks.points, tracks.count)
        self.cameras = cameras
        self.normal = (design.T @ design).toarray()
        self.slope = design.T @ residuals.ravel()
        self.mixed = (design.T @ points).tocsr()
        self.of_points = np.zeros((tracks.count, 3, 3))
        np.add.at(self.of_points, tracks.points, by_point.transpose(0, 2, 1) @ by_point)
        self.slope_of_points = points.T @ residuals.ravel()

    def step(self, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Motions ``[V, 6]`` and shifts ``[P, 3]``."""
        count = len(self.of_points)
        diagonal = np.einsum("pii->pi", self.of_points)
        least = 1e-9 * diagonal.mean() if count else 0.0
        inverse = np.linalg.inv(self.of_points + np.einsum("pi,ij->pij", damping * diagonal + least, np.eye(3)))
        inverse = sparse.bsr_matrix((inverse, np.arange(count), np.arange(count + 1)), shape=(3 * count, 3 * count))
        eliminated = self.mixed @ inverse
        normal = self.normal + np.diag(damping * self.normal.diagonal() + 1 / PRIOR**2)
        normal -= (eliminated @ self.mixed.T).toarray()
        motions = -np.linalg.solve(normal, self.slope - eliminated @ self.slope_of_points)
        shifts = -inverse @ (self.slope_of_points + self.mixed.T @ motions)
        return motions.reshape(self.cameras, 6), shifts.reshape(count, 3)


def triangulate(tracks: FeatureTracks, intrinsics: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """``[P, 3]`` points nearest to the rays of their observations, by least squares."""
    homogeneous = np.column_stack([tracks.pixels, np.ones(len(tracks.pixels))])
    in_camera = np.linalg.solve(intrinsics[tracks.views], homogeneous[:, :, None])
    directions = (poses[tracks.views, :3, :3] @ in_camera)[:, :, 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    across = np.eye(3) - directions[:, :, None] * directions[:, None]
    normal, right = np.zeros((tracks.count, 3, 3)), np.zeros((tracks.count, 3, 1))
    np.add.at(normal, tracks.points, across)
    np.add.at(right, tracks.points, across @ poses[tracks.views, :3, 3:])
    # Parallel rays meet nowhere: such points stay near the object's middle.
    return np.linalg.solve(normal + 1e-6 * np.eye(3), right)[:, :, 0]


def _blocks(values: np.ndarray, columns: np.ndarray, count: int) -> sparse.csr_matrix:
    """``[2N, width * count]`` with ``values [N, 2, width]`` at ``columns [N]`` of blocks."""
    width = values.shape[2]
    indices = np.repeat(columns[:, None] * width + np.arange(width), 2, axis=0)
    starts = np.arange(0, indices.size + 1, width)
    return sparse.csr_matrix((values.ravel(), indices.ravel(), starts), shape=(2 * len(values), width * count))
