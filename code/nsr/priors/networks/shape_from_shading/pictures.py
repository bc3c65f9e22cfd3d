"""The figure of a result."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.common.task import Panel
from nsr.priors.networks.shape_from_shading.encoding import MILLIMETRES

ERROR_RANGE = 2.0  # mm, of the published figures


def result_panels(prediction: dict[str, Tensor], sample: Sample) -> list[Panel]:
    """True depth, low-resolution depth, predicted depth; shading, error of the low-resolution depth, of the prediction.

    Depth is shown from the plane that fits the low-resolution depth best, in millimetres: the relief is a thousandth
    of the distance.  Without a true depth its panel shows the pattern and the errors the predicted residual.  A
    predicted confidence follows last.
    """
    valid = sample["mask"][0].numpy() > 0
    low, predicted = (maps[0].double().numpy() for maps in (sample["low"], prediction["depth"]))
    plane = _plane(low, valid)

    def above(depth: np.ndarray) -> np.ndarray:
        return np.where(valid, (depth - plane) * MILLIMETRES, np.nan)

    bound = float(np.ceil(np.nanquantile(np.abs(above(predicted)), 0.995)))
    limits, errors = (-bound, bound), (-ERROR_RANGE, ERROR_RANGE)
    low_panel = Panel("low-resolution depth", above(low), limits, "mm")
    predicted_panel = Panel("predicted depth", above(predicted), limits, "mm")
    shading = _grey("shading", sample["shading"])
    if "depth" in sample:
        truth = sample["depth"][0].double().numpy()
        panels = [
            Panel("true depth", above(truth), limits, "mm"),
            low_panel,
            predicted_panel,
            shading,
            Panel("low-resolution error", above(low) - above(truth), errors, "mm"),
            Panel("predicted error", above(predicted) - above(truth), errors, "mm"),
        ]
    else:
        pattern = [_grey("pattern", sample["pattern"])] if "pattern" in sample else []
        residual = Panel("predicted residual", above(predicted) - above(low), errors, "mm")
        panels = [*pattern, low_panel, predicted_panel, shading, residual]
    if "confidence" in prediction:
        panels.append(Panel("confidence", np.where(valid, prediction["confidence"][0].numpy(), np.nan)))
    return panels


def _grey(title: str, image: Tensor) -> Panel:
    return Panel(title, np.repeat(image[0].numpy()[..., None], 3, axis=-1))


def _plane(depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    v, u = np.indices(depth.shape)
    terms = np.stack([np.ones_like(u), u, v], axis=-1).astype(np.float64)
    return terms @ np.linalg.lstsq(terms[valid], depth[valid], rcond=None)[0]
