"""The depth that a stereo camera of the RealSense kind measures, from exact depth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from nsr.scenes.synthetic.sensors.rectified import disparity_of, unseen_from_the_right

_JUMP = 1.0  # of disparity between neighbouring pixels, in pixels: more is an outline, not a slope


@dataclass(frozen=True)
class StereoSensor:
    """A stereo pair whose left camera sees the depth map; the right one stands ``baseline`` to its right.

    The order of the steps is the one in which they happen: matching windows blur outlines, sub-pixel matching is
    noisy and quantised, and what cannot be matched is a hole.

    Attributes:
        baseline: distance of the two cameras, in the depth's unit.
        noise: standard deviation of the disparity, pixels.
        correlation: width over which that noise is alike, pixels (that of the matching window).
        steps: sub-pixel disparities that are told apart; a depth step is then z^2 / (focal baseline steps).  0: all.
        fattening: pixels by which foreground grows over what lies behind it (matching windows).
        occlusion: drop what the right camera does not see, and what lies left of its frame.
        least_cosine: between the normal and the way to the camera, below which nothing is matched.
        least_signal: infrared contrast times that cosine, below which nothing is matched.
        speckle: share of the pixels lost in random patches.
        nearest, farthest: range, in the depth's unit.
    """

    baseline: float
    noise: float = 0.08
    correlation: float = 7.0
    steps: int = 32
    fattening: int = 3
    occlusion: bool = True
    least_cosine: float = 0.2
    least_signal: float = 0.0
    speckle: float = 0.0
    nearest: float = 0.0
    farthest: float = np.inf

    def step(self, depth: np.ndarray | float, focal: float) -> np.ndarray | float:
        """Distance of neighbouring quantised depths about ``depth``, to first order, in its unit."""
        return depth**2 / (focal * self.baseline * self.steps)

    def measure(
        self,
        depth: np.ndarray,
        focal: float,
        random: np.random.Generator,
        cosine: np.ndarray | None = None,
        contrast: np.ndarray | None = None,
    ) -> np.ndarray:
        """The depth that is measured.

        Args:
            depth: ``[H, W]`` exact z-depth, 0 where there is nothing.
            focal: horizontal focal length, pixels.
            random: of noise and speckle; equal generators give equal maps.
            cosine: ``[H, W]`` between normal and the way to the camera; None: everything faces it.
            contrast: ``[H, W]`` in [0, 1] of the infrared picture; None: 1 everywhere.

        Returns:
            ``[H, W]`` float32 z-depth in the same unit, 0 in holes.
        """
        there = depth > 0
        disparity = disparity_of(depth, focal, self.baseline)
        hidden = unseen_from_the_right(disparity) if self.occlusion else ~there
        disparity = _fattened(disparity, self.fattening)
        facing = np.ones_like(disparity) if cosine is None else cosine
        signal = facing if contrast is None else facing * contrast
        matched = (disparity > 0) & ~(hidden & there)
        # Where the foreground has grown over nothing, nothing is known that could keep it from being matched.
        matched &= ~there | ((facing >= self.least_cosine) & (signal >= self.least_signal))
        if self.speckle > 0:
            field = correlated_noise(depth.shape, self.correlation, random)
            matched &= field > np.quantile(field, self.speckle)
        if self.noise > 0:
            disparity = disparity + self.noise * correlated_noise(depth.shape, self.correlation, random)
        if self.steps > 0:
            disparity = np.round(disparity * self.steps) / self.steps
        matched &= disparity > 0
        measured = focal * self.baseline / np.where(matched, disparity, 1.0)
        matched &= (measured >= self.nearest) & (measured <= self.farthest)
        return np.where(matched, measured, 0.0).astype(np.float32)


def correlated_noise(shape: tuple[int, int], width: float, random: np.random.Generator) -> np.ndarray:
    """``[H, W]`` Gaussian noise of mean 0 and standard deviation 1, alike over about ``width`` pixels (which hold 95 %
    of the smoothing kernel)."""
    sigma = width / 4
    radius = int(np.ceil(3 * sigma))
    kernel = cv2.getGaussianKernel(2 * radius + 1, sigma) if radius else np.ones((1, 1))
    noise = random.standard_normal((shape[0] + 2 * radius, shape[1] + 2 * radius))
    smooth = cv2.sepFilter2D(noise, -1, kernel, kernel)[radius : radius + shape[0], radius : radius + shape[1]]
    # White noise through a kernel keeps the sum of its squares as variance; that is the kernel's in each direction.
    return smooth / float((kernel**2).sum())


def _fattened(disparity: np.ndarray, width: int) -> np.ndarray:
    """Foreground grown by ``width`` pixels about outlines; slopes stay as they are."""
    if width < 1:
        return disparity
    horizontal = np.abs(np.diff(disparity, axis=1)) > _JUMP
    vertical = np.abs(np.diff(disparity, axis=0)) > _JUMP
    outline = np.zeros(disparity.shape, np.uint8)
    outline[:, 1:] |= horizontal
    outline[:, :-1] |= horizontal
    outline[1:] |= vertical
    outline[:-1] |= vertical
    nearest = cv2.dilate(disparity, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
    # Both sides of an outline are marked, the foreground's too: one pixel less reaches as far.
    about = cv2.dilate(outline, np.ones((2 * width - 1, 2 * width - 1), np.uint8)) > 0
    return np.where(about & (nearest - disparity > _JUMP), nearest, disparity)
