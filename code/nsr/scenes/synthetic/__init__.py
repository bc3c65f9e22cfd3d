"""Synthetic scenes with exact ground truth: shape, colour, light and cameras from a ``SyntheticSpec``."""

from nsr.scenes.synthetic.generate import make_scene
from nsr.scenes.synthetic.shapes import SHAPES, Shape
from nsr.scenes.synthetic.spec import DEFAULT_SPEC, SyntheticSpec

__all__ = ["DEFAULT_SPEC", "SHAPES", "Shape", "SyntheticSpec", "make_scene"]
