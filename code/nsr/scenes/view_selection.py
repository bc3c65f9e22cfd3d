"""Few of many views, spread as far as may be."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nsr.errors import SceneError
from nsr.scenes.cameras import Cameras

EQUAL = 1e-4  # distances this close, relatively, are the same: evenly spaced cameras differ by rounding


def spread_views(cameras: Cameras, views: Sequence[int], count: int) -> list[int]:
    """``count`` of ``views``, ascending: the first, then each time the one whose camera stands farthest from all those
    chosen (farthest-point sampling, Gonzalez 1985); of equals, and of those that only rounding tells apart, the
    earliest.

    Raises:
        SceneError: there are fewer views than that.
    """
    if count > len(views):
        raise SceneError(f"dataset.train_views is {count}, but the scene has {len(views)} training views; lower it")
    centres = cameras.poses[list(views), :3, 3].double()
    chosen = [0]
    nearest = (centres - centres[0]).norm(dim=1)
    while len(chosen) < count:
        nearest[chosen[-1]] = -1.0  # not again, though others stand in the same place
        chosen.append(int((nearest >= nearest.max() * (1 - EQUAL)).nonzero()[0]))
        nearest = torch.minimum(nearest, (centres - centres[chosen[-1]]).norm(dim=1))
    return sorted(views[index] for index in chosen)
