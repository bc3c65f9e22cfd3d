"""A bundle as a picture that a person can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.atomic import whole_file
from nsr.errors import PriorError
from nsr.priors.bundle import PriorBundle
from nsr.priors.conversion import ViewFrame, srgb_of_linear
from nsr.rendering.pictures import as_uint8, depth_picture, normal_picture
from nsr.scenes.pictures import write_picture


def bundle_picture(bundle: PriorBundle, frame: ViewFrame) -> np.ndarray:
    """``[H, n W, 3]`` uint8: the bundle's maps beside each other, white where they have no value, each followed by its
    confidence in grey; depths yellow (near) to dark blue, normals in the camera's frame, colours in sRGB up to scale.
    """
    panels = []
    if bundle.depth is not None:
        known = bundle.depth_confidence > 0
        near, far = np.percentile(bundle.depth[known], (1, 99)) if known.any() else (0.0, 1.0)
        panels += [depth_picture(bundle.depth, known, near, far), _grey(bundle.depth_confidence)]
    if bundle.normal is not None:
        known = bundle.normal_confidence > 0
        panels += [normal_picture(bundle.normal, known, frame.pose[:3, :3]), _grey(bundle.normal_confidence)]
    for name in ("albedo", "shading"):
        values, confidence = getattr(bundle, name), getattr(bundle, f"{name}_confidence")
        if values is not None:
            known = confidence > 0
            brightest = np.percentile(values[known], 99) if known.any() else 1.0
            colours = srgb_of_linear((values / max(brightest, 1e-9)).clip(0, 1))
            panels += [as_uint8(np.where(known[..., None], colours, 1.0)), _grey(confidence)]
    if not panels:  # harmonics alone
        panels = [_grey(bundle.shading_confidence)]
    return np.concatenate(panels, axis=1)


def write_bundle_picture(folder: str | Path, bundle: PriorBundle, frame: ViewFrame) -> Path:
    """Write ``<view>.png`` into ``folder``; returns its path.

    Raises:
        PriorError: the disk refuses.
    """
    path = Path(folder) / f"{bundle.view}.png"
    try:
        with whole_file(path) as partial:
            write_picture(partial, bundle_picture(bundle, frame))
    except OSError as error:
        raise PriorError(f"{path}: the picture cannot be written ({error.strerror or error})") from error
    return path


def _grey(confidence: np.ndarray) -> np.ndarray:
    return np.repeat(as_uint8(confidence)[..., None], 3, axis=-1)
