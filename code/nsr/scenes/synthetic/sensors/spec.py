"""Which depth sensors look at a synthetic scene, and how well they see."""

from __future__ import annotations

from dataclasses import dataclass

from nsr.errors import SceneError
from nsr.scenes.synthetic.sensors.low_resolution import DECIMATIONS


@dataclass
class SensorSpec:
    """Sensors beside the cameras of a synthetic scene, one a view and each with that view's intrinsics; off by default.

    Lengths are in the normalised frame, as in ``SyntheticSpec``; pixels are those of the view.

    Attributes:
        stereo: an active stereo camera: noisy depth with holes, and its infrared picture.
        structured_light: a projector of grid lines: its picture, depth on the lines, and that interpolated.
        low_resolution: exact depth of as many times fewer pixels a side; 0: none.
        decimation: how it is made: area (mean), nearest, or closest (smallest).
        baseline: between the two cameras of the stereo pair, and between camera and projector.
        noise: standard deviation of the disparity, pixels.
        correlation: width over which that noise is alike, pixels.
        disparity_steps: disparities that the matcher tells apart in a pixel; 0: all.
        fattening: pixels by which foreground grows.
        least_cosine: to the surface, below which nothing is measured.
        least_signal: infrared contrast times cosine, below which nothing is measured.
        speckle: share of the pixels lost in random patches.
        nearest: end of the range.
        farthest: the other one.
        pitch: distance of the projector's lines, pixels.
        line_width: pixels.
        depth_unit: world units of one step of the 16-bit depth pictures.
        seed: of everything random.
    """

    stereo: bool = False
    structured_light: bool = False
    low_resolution: int = 0
    decimation: str = "area"
    baseline: float = 0.15
    noise: float = 0.08
    correlation: float = 7.0
    disparity_steps: int = 32
    fattening: int = 3
    least_cosine: float = 0.2
    least_signal: float = 0.03
    speckle: float = 0.01
    nearest: float = 0.5
    farthest: float = 20.0
    pitch: float = 16.0
    line_width: float = 2.0
    depth_unit: float = 0.05
    seed: int = 0

    @property
    def any(self) -> bool:
        """Whether a sensor is on."""
        return self.stereo or self.structured_light or self.low_resolution > 0

    def check(self) -> None:
        """Raise a ``SceneError`` that names the first field that cannot be used."""
        if self.decimation not in DECIMATIONS:
            raise SceneError(f"sensors.decimation is {self.decimation!r}; it must be one of {', '.join(DECIMATIONS)}")
        limits = {
            "low_resolution": (0, 1000),
            "baseline": (1e-6, 10),
            "noise": (0, 10),
            "correlation": (0, 100),
            "disparity_steps": (0, 10_000),
            "fattening": (0, 100),
            "least_cosine": (0, 1),
            "least_signal": (0, 1),
            "speckle": (0, 0.9),
            "nearest": (0, 1000),
            "farthest": (self.nearest, 10_000),
            "pitch": (2, 1000),
            "line_width": (0.5, 100),
            "depth_unit": (1e-9, 1e9),
            "seed": (0, 2**63 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SceneError(f"sensors.{name} is {value}; it must be from {low} to {high}")
