"""Quantities that change over a run, as functions of its progress in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence


def milestones(progress: float, at: Sequence[float], factor: float) -> float:
    """``factor`` to the power of the number of milestones passed (IDR's rate and alpha schedules)."""
    return factor ** sum(progress >= milestone for milestone in at)


def cosine(progress: float, floor: float = 0.0) -> float:
    """From 1 to ``floor`` along half a cosine."""
    return floor + (1 - floor) * (0.5 + 0.5 * math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def ramp(progress: float, end: float, start: float = 0.0) -> float:
    """0 up to ``start``, from there linearly to 1 at ``end``, and 1 from there on; 1 throughout where ``end`` is 0."""
    if end <= 0 or progress >= end:
        return 1.0
    return 0.0 if progress <= start else (progress - start) / (end - start)
