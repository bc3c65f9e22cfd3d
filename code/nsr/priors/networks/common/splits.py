"""Splits of a dataset that keep every scene on one side."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nsr.errors import NsrError


def split_by_scene(scenes: Sequence[str], fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Indices of the training and of the validation samples.

    Args:
        scenes: of each sample.
        fraction: of the scenes that go to validation, rounded, at least one where it is above 0; the rest trains.
        seed: of the choice, which depends on the set of scenes and not on their order.

    Raises:
        NsrError: the fraction leaves no scene to train on, or lies outside [0, 1).
    """
    if not 0 <= fraction < 1:
        raise NsrError(f"--val is {fraction}; it is the part of the scenes that validates, from 0 to below 1")
    names = sorted(set(scenes))
    count = max(round(fraction * len(names)), 1) if fraction > 0 else 0
    if count >= len(names):
        raise NsrError(
            f"--val {fraction} of {len(names)} scene{'s' * (len(names) != 1)} leaves none to train on; "
            "give more scenes (--num), or --val 0"
        )
    held_out = set(random.Random(seed).sample(names, count))
    train = [index for index, scene in enumerate(scenes) if scene not in held_out]
    return train, [index for index, scene in enumerate(scenes) if scene in held_out]
