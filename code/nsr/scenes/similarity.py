"""The similarity between two frames in which the same cameras are known.

Cameras that are optimised together with a surface may drift as a whole (a rotation, a scale and a shift change no
image), so that poses, meshes and other cameras mean something only after that similarity is taken out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ITERATIONS = 500
_TOLERANCE = 1e-12


@dataclass
class Similarity:
    """``scale * rotation @ x + translation`` takes a point of one frame to the other.

    Attributes:
        rotation: ``[3, 3]``; scale: positive; translation: ``[3]``.
    """

    rotation: np.ndarray
    scale: float
    translation: np.ndarray

    def points(self, points: np.ndarray) -> np.ndarray:
        """``[N, 3]`` points in the other frame."""
        return self.scale * points @ self.rotation.T + self.translation

    def poses(self, poses: np.ndarray) -> np.ndarray:
        """``[V, 4, 4]`` camera-to-world poses in the other frame; they see the same there."""
        moved = poses.copy()
        moved[:, :3, :3] = self.rotation @ poses[:, :3, :3]
        moved[:, :3, 3] = self.points(poses[:, :3, 3])
        return moved

    def inverse(self) -> Similarity:
        """The way back."""
        back = self.rotation.T / self.scale
        return Similarity(self.rotation.T, 1 / self.scale, -back @ self.translation)

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Similarity:
        """From ``[4, 4]``, such as a ``scale_mat``."""
        scale = float(np.cbrt(np.linalg.det(matrix[:3, :3])))
        return cls(matrix[:3, :3] / scale, scale, matrix[:3, 3])

    def matrix(self) -> np.ndarray:
        """``[4, 4]`` float64."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.scale * self.rotation, self.translation
        return matrix


def align_poses(source: np.ndarray, target: np.ndarray) -> Similarity:
    """The similarity that takes ``source`` poses ``[V, 4, 4]`` to ``target`` ones, V >= 2, as IDR aligns them.

    Its rotation is the least-squares one between the orientations; its scale and shift minimise the **sum of
    distances** (not of squares) between the centres, so that a few bad cameras do not spoil the others.  That convex
    problem is solved by iteratively reweighted least squares (Weiszfeld).
    """
    left, _, right = np.linalg.svd(np.einsum("vij,vkj->ik", target[:, :3, :3], source[:, :3, :3]))
    rotation = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    scale, translation = _robust_scale_and_shift(source[:, :3, 3] @ rotation.T, target[:, :3, 3])
    return Similarity(rotation, scale, translation)


def _robust_scale_and_shift(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """Minimise the sum over views of ``|scale * source + shift - target|``."""
    weights = np.ones(len(source))
    size = np.abs(target - target.mean(0)).max()
    previous = np.inf
    for _ in range(_ITERATIONS):
        part = weights / weights.sum()
        source_mean, target_mean = part @ source, part @ target
        centred = source - source_mean
        scale = float((part[:, None] * centred * (target - target_mean)).sum() / (part[:, None] * centred**2).sum())
        shift = target_mean - scale * source_mean
        distances = np.linalg.norm(scale * source + shift - target, axis=-1)
        if previous - distances.sum() < _TOLERANCE * size:
            break
        previous = distances.sum()
        weights = 1 / np.maximum(distances, 1e-9 * size)
    return scale, shift
