"""What a stereo camera would have measured of exact depth: samples to train and test on."""

from __future__ import annotations

import numpy as np
import torch

from nsr.priors.networks.common.procedural.solids import RenderedSolids, render_solids
from nsr.priors.networks.common.samples import Sample
from nsr.scenes.synthetic.sensors.stereo import StereoSensor

MILLIMETRE = 0.001
_LEFT_BAND = 64  # columns that are made and cut off, so that not every window begins left of the right camera's frame
_WHOLE_SHARE = 0.25  # of the windows, which keep that band


class SimulatedFrames(RenderedSolids):
    """Random rooms through random stereo cameras, a scene each; arguments as ``RenderedSolids``."""

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng([self.seed, index])
        height, width = self.size
        band = 0 if random.random() < _WHOLE_SHARE else _LEFT_BAND
        frame = render_solids(random, (height, width + band))
        grey = frame.albedo.mean(0)
        noisy, infrared = simulate(frame.depth, frame.focal, grey, frame.facing, random_sensor(random), random)
        maps = {
            "noisy": noisy,
            "depth": frame.depth,
            "infrared": infrared,
            "mask": (frame.depth > 0).astype(np.float32),
        }
        return as_sample({name: values[:, band:] for name, values in maps.items()}, f"{index:04d}", self.scenes[index])


def random_sensor(random: np.random.Generator) -> StereoSensor:
    """A camera of the RealSense kind: baselines of 50 to 95 mm, noise of 0.05 to 0.12 pixels, 1/32 pixel steps."""
    return StereoSensor(
        baseline=random.uniform(0.05, 0.095),
        noise=random.uniform(0.05, 0.12),
        correlation=random.uniform(5, 9),
        fattening=int(random.integers(1, 4)),
        least_signal=0.03,
        speckle=random.uniform(0, 0.015),
        nearest=0.2,
        farthest=5.0,
    )


def simulate(
    depth: np.ndarray,
    focal: float,
    grey: np.ndarray,
    facing: np.ndarray,
    sensor: StereoSensor,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """What a sensor gives of an exact depth map.

    Args:
        depth: ``[H, W]`` metres, 0 where there is nothing.
        focal: pixels.
        grey: ``[H, W]`` how bright the surface is in infrared, in [0, 1]; facing: ``[H, W]`` cosine between its normal
            and the way to the camera.

    Returns:
        depth ``[H, W]`` float32 in metres, in steps of a millimetre, 0 in holes; infrared picture ``[H, W]`` float32 in
        [0, 1], in 256 steps, with the projector's dots.
    """
    measured = sensor.measure(depth, focal, random, cosine=facing, contrast=grey)
    noisy = np.round(measured / MILLIMETRE) * MILLIMETRE
    dots = random.random(depth.shape) < 0.06
    lit = grey * (0.25 + 0.55 * facing + 0.2 * dots) + random.normal(0, 0.01, depth.shape)
    return noisy.astype(np.float32), (np.round(255 * lit.clip(0, 1)) / 255).astype(np.float32)


def facing_of(depth: np.ndarray, focal: float) -> np.ndarray:
    """``[H, W]`` cosine between the normal and the way to the camera, of a depth map whose centre is the optical axis;
    1 where nothing is known.  At an outline each side is looked at by itself: a jump is no slope."""
    height, width = depth.shape
    row, column = np.indices(depth.shape)
    ray = np.stack([(column - (width - 1) / 2) / focal, (row - (height - 1) / 2) / focal, np.ones(depth.shape)])
    points = ray * depth
    across, down = _one_sided(points, 2), _one_sided(points, 1)
    normal = np.cross(down, across, axis=0)
    length = np.linalg.norm(normal, axis=0) * np.linalg.norm(ray, axis=0)
    cosine = np.abs((normal * ray).sum(0)) / np.maximum(length, 1e-12)
    return np.where((depth > 0) & (length > 1e-12), cosine, 1.0)


def _one_sided(points: np.ndarray, axis: int) -> np.ndarray:
    """Differences of points ``[3, H, W]`` to that neighbour along an axis, before or after, that is nearer in depth."""
    step = np.diff(points, axis=axis)
    after = np.concatenate([step, np.take(step, [-1], axis)], axis)
    before = np.concatenate([np.take(step, [0], axis), step], axis)
    return np.where(np.abs(after[2]) < np.abs(before[2]), after, before)


def as_sample(maps: dict[str, np.ndarray], name: str, scene: str) -> Sample:
    """Arrays ``[H, W]`` as float32 maps ``[1, H, W]``, with the strings of a sample."""
    tensors = {
        key: torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None] for key, values in maps.items()
    }
    return {**tensors, "name": name, "scene": scene}
