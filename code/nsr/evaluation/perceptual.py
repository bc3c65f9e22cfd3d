"""LPIPS (Zhang et al. 2018), where the package and its backbone's weights are on this machine already.

Nothing is fetched: the ``lpips`` package brings its own heads, and the AlexNet below them must be in torch's hub
folder, as ``torchvision`` leaves it there.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

BACKBONE = "alexnet-owt-7be5be79.pth"

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], float]

logger = logging.getLogger("nsr")


def find_lpips() -> Distance | None:
    """A function of (rendered, photograph ``[H, W, 3]`` in [0, 1], mask ``[H, W]`` bool) to the LPIPS distance.

    The network sees both images white outside the mask, cut to the mask's bounding box with an eighth of its size
    around it, and in [-1, 1] as it was trained; NaN where the mask is empty.

    Returns:
        None, after a line in the log, where something that it needs is not installed.
    """
    weights = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE
    missing = [name for name in ("lpips", "torchvision") if importlib.util.find_spec(name) is None]
    if missing:
        logger.info("no LPIPS: not installed: %s", ", ".join(missing))
        return None
    if not weights.is_file():
        logger.info("no LPIPS: the weights of its network are not at %s", weights)
        return None
    import lpips

    network = lpips.LPIPS(net="alex", verbose=False).eval()

    def distance(rendered: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> float:
        if not mask.any():
            return float("nan")
        window = object_window(mask)
        with torch.no_grad():
            first, second = (
                _as_input(np.where(mask[..., None], image, 1.0)[window]) for image in (rendered, photograph)
            )
            return float(network(first, second))

    return distance


def object_window(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a mask's bounding box, an eighth of its size wider on each side, inside the image."""
    slices = []
    for axis in (0, 1):
        used = np.flatnonzero(mask.any(axis=1 - axis))
        border = (used[-1] + 1 - used[0]) // 8
        slices.append(slice(max(used[0] - border, 0), min(used[-1] + 1 + border, mask.shape[axis])))
    return slices[0], slices[1]


def _as_input(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32)).permute(2, 0, 1)[None] * 2 - 1
