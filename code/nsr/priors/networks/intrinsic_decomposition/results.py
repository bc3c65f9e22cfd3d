"""A decomposition as files: pictures to look at, exact values, light, relit picture, pseudo-labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from nsr.atomic import whole_file
from nsr.priors.networks.intrinsic_decomposition.faces import (
    NONE,
    TABLES,
    append_row,
    encode_normals,
    write_levels,
    write_light,
)
from nsr.priors.networks.intrinsic_decomposition.illumination import principal_direction, relight

_EXACT = ("normal", "albedo", "harmonic_shading", "residue", "shading", "reconstruction", "light")


def write_decomposition(prediction: dict[str, Tensor], sample: dict, folder: Path, light: Tensor | None = None) -> None:
    """Write ``<name>_{face,normal,albedo,shading,residue,recon}.png``, ``<name>_light.txt`` and ``<name>.npz``.

    The pictures have 8 bits and are cut to [0, 1] (shading halved, the residue shifted by a half); the ``npz`` holds
    the maps themselves in float32, where reconstruction = albedo x (harmonic_shading + residue) exactly, and the
    ``light_direction`` ``[3]`` that most of the light comes from (camera frame).  With
    ``light`` ``[27]`` there is ``<name>_relit.png`` too: albedo and normals under it.
    """
    name = sample["name"]
    pictures = {
        "face": sample["image"],
        "normal": encode_normals(prediction["normal"]),
        "albedo": prediction["albedo"],
        "shading": prediction["shading"] / 2,
        "residue": prediction["residue"] + 0.5,
        "recon": prediction["reconstruction"],
    }
    if light is not None:
        relit = relight(prediction["albedo"][None], prediction["normal"][None], light[None])[0]
        pictures["relit"] = relit * sample["mask"]
    for what, values in pictures.items():
        write_levels(folder / f"{name}_{what}.png", values)
    write_light(folder / f"{name}_light.txt", prediction["light"])
    with whole_file(folder / f"{name}.npz") as partial:
        np.savez_compressed(
            partial,
            **{key: prediction[key].numpy() for key in _EXACT},
            mask=sample["mask"].numpy(),
            light_direction=principal_direction(prediction["light"].view(1, -1))[0].numpy(),
        )


def write_pseudo_label(prediction: dict[str, Tensor], sample: dict, folder: Path) -> None:
    """Add one picture with what a network says of it to a folder of the original format, and to its ``train.csv``.

    A picture that is there already is written anew.
    """
    name = sample["name"].replace("_", "-")
    files = {kind: f"{name}_{kind}_0_0.png" for kind in ("albedo", "normal", "mask", "face")}
    write_levels(folder / files["face"], sample["image"])
    write_levels(folder / files["albedo"], prediction["albedo"])
    write_levels(folder / files["normal"], encode_normals(prediction["normal"]))
    if (sample["mask"] > 0).all():
        files["mask"] = NONE
    else:
        write_levels(folder / files["mask"], sample["mask"].expand(3, -1, -1))
    light = f"{name}_light_0_0.txt"
    write_light(folder / light, prediction["light"])
    append_row(folder / TABLES[0], {**files, "depth": NONE, "light": light, "name": f"{name}_0_0"})
