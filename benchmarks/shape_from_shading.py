"""What the relief network adds to the smooth depth, on held-out made frames.

A row each for the smooth depth, for linear shape from shading alone (with the one factor a frame that brings it nearest
to the truth), for the network without a pattern, and for the network.  Raw error and what part of the smooth depth's it
is (all pixels of all frames together), the two errors that read the truth, the normals, the time of a 640x480 frame.

    python benchmarks/shape_from_shading.py trained_models/shape-from-shading/best.pt
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from timing import describe

from nsr.priors.networks.common.checkpoints import task_from_checkpoint
from nsr.priors.networks.shape_from_shading.encoding import CONTRAST, MILLIMETRES, encode
from nsr.priors.networks.shape_from_shading.family import FAMILY
from nsr.priors.networks.shape_from_shading.generate import Recipe, make_sample
from nsr.priors.networks.shape_from_shading.rig import Rig

HELD_OUT_SEED = 1000  # as that of nsr prior test
LONGEST = 64.0  # pixels: wavelength from which on linear shape from shading is damped
COLUMNS = {
    "rmse_mm": "RMSE mm",
    "ratio": "of smooth",
    "image_aligned_rmse_mm": "image mm",
    "window_aligned_rmse_mm": "window mm",
    "normal_error_degrees": "normals deg",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--num", type=int, default=40, help="held-out frames (default: %(default)s)")
    options = parser.parse_args()
    task = task_from_checkpoint(options.checkpoint, FAMILY)
    samples = [make_sample(Recipe(size=256), HELD_OUT_SEED, number) for number in range(options.num)]
    without = [{name: values for name, values in sample.items() if name != "pattern"} for sample in samples]
    with torch.inference_mode():
        rows = {
            "smooth depth": [of_residual(sample, torch.zeros_like(sample["low"])) for sample in samples],
            "linear shape from shading": [of_residual(sample, linear(sample, task.rig)) for sample in samples],
            "network, no pattern": [task.predict(sample) for sample in without],
            "network": [task.predict(sample) for sample in samples],
        }
    print(describe(torch.device("cpu")))
    print(f"{options.num} frames of 256x256; one of 640x480 takes {frame_milliseconds(task):.0f} ms")
    print("".ljust(28) + "".join(title.rjust(13) for title in COLUMNS.values()))
    for name, predictions in rows.items():
        measured = [task.measure(prediction, sample) for prediction, sample in zip(predictions, samples, strict=True)]
        squared = {key: np.mean([row[key] ** 2 for row in measured]) for key in ("rmse_mm", "low_rmse_mm")}
        figures = {key: np.mean([row[key] for row in measured]) for key in COLUMNS}
        figures["ratio"] = np.sqrt(squared["rmse_mm"] / squared["low_rmse_mm"])
        print(name.ljust(28) + "".join(f"{figures[key]:.3f}".rjust(13) for key in COLUMNS))


def of_residual(sample: dict, residual: torch.Tensor) -> dict[str, torch.Tensor]:
    """A prediction that adds ``residual`` ([1, H, W], mm) to the smooth depth."""
    residual = residual * sample["mask"]
    return {"residual": residual, "depth": sample["low"] + residual / MILLIMETRES}


def linear(sample: dict, rig: Rig) -> torch.Tensor:
    """Linear shape from shading (Pentland 1990), scaled at best: ``[1, H, W]``, mm.

    To first order the logarithm of the brightness grows with the slope towards the lamp.  It is summed up along that
    direction in the Fourier domain, damped for waves that are long or run across the light.
    """
    contrast = encode(sample, rig, ("shading",))[0].double() * CONTRAST["shading"]
    shape = [size + int(LONGEST) for size in contrast.shape]  # periodic: opposite edges must not meet
    down, right = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None]
    along = 2j * torch.pi * (right * rig.lamp[0] + down * rig.lamp[1]) / np.hypot(*rig.lamp[:2])
    inverse = along.conj() / (along.abs() ** 2 + (2 * torch.pi / LONGEST) ** 2)
    summed = torch.fft.irfft2(torch.fft.rfft2(contrast, shape) * inverse, shape)
    shown = summed[None, : contrast.shape[0], : contrast.shape[1]].float() * sample["mask"]
    residual = (sample["depth"] - sample["low"]) * MILLIMETRES
    return shown * (shown * residual).sum() / (shown * shown).sum()


def frame_milliseconds(task, repeats: int = 3) -> float:
    """The fastest of some predictions of a 640x480 frame, its encoding included."""
    sample = make_sample(replace(Recipe(size=640), cut=0.0), HELD_OUT_SEED, 0)
    frame = {name: value[:, :480] if isinstance(value, torch.Tensor) else value for name, value in sample.items()}
    spent = []
    with torch.inference_mode():
        for _ in range(repeats):
            started = time.perf_counter()
            task.predict(frame)
            spent.append(time.perf_counter() - started)
    return 1000 * min(spent)


if __name__ == "__main__":
    main()
