"""Photometric stereo: one object under several known lights, and the normals that its pictures give together."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nsr.errors import NsrError
from nsr.scenes.pictures import read_mask, read_picture

LIGHTS = "lights.txt"
CAT = "photometric/cat"  # below the folder of real data


class LitPictures:
    """A folder with ``NAME.0.png`` to ``NAME.<n-1>.png``, ``NAME.mask.png`` and ``lights.txt``.

    ``lights.txt`` holds the number of pictures and, a line each, unit directions to the light (x right, y up, z
    towards the camera).

    Attributes:
        name: of the object; files: of the pictures, in the order of the lights; mask_file.
        lights: ``[n, 3]`` unit directions to the lights, camera frame (x right, y down, z forward).

    Raises:
        NsrError: the folder lacks a file, or the lights and the pictures differ in number.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.lights = _read_lights(folder / LIGHTS)
        masks = sorted(folder.glob("*.mask.png"))
        if len(masks) != 1:
            raise NsrError(f"{folder}: {len(masks)} files are named *.mask.png; one is needed")
        self.mask_file = masks[0]
        self.name = masks[0].name.removesuffix(".mask.png")
        self.files = [folder / f"{self.name}.{number}.png" for number in range(len(self.lights))]
        missing = [path.name for path in self.files if not path.is_file()]
        if missing:
            raise NsrError(f"{folder}: {LIGHTS} tells of {len(self.lights)} pictures, but {missing[0]} is missing")

    def pictures(self) -> np.ndarray:
        """``[n, H, W, 3]`` uint8."""
        return np.stack([read_picture(path) for path in self.files])

    def mask(self) -> np.ndarray:
        """``[H, W]`` bool."""
        return read_mask(self.mask_file)


def photometric_normals(brightness: np.ndarray, lights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals and albedo of a Lambertian surface under distant lights (Woodham 1980).

    Each pixel's equations are weighted with its brightness, so that shadows have little say.

    Args:
        brightness: ``[n, H, W]`` linear; lights: ``[n, 3]`` unit directions to the light.

    Returns:
        ``[H, W, 3]`` unit normals in the frame of the lights, and ``[H, W]`` albedo, 0 where a pixel is dark in all.
    """
    weighted = brightness**2
    matrix = np.einsum("nhw,ni,nj->hwij", weighted, lights, lights) + 1e-9 * np.eye(3)
    right = np.einsum("nhw,ni->hwi", weighted * brightness, lights)
    scaled = np.linalg.solve(matrix, right[..., None])[..., 0]
    albedo = np.linalg.norm(scaled, axis=-1)
    return scaled / np.maximum(albedo, 1e-12)[..., None], albedo


def _read_lights(path: Path) -> np.ndarray:
    """``[n, 3]`` unit directions to the lights, turned into the camera's frame (x right, y down, z forward)."""
    try:
        lines = path.read_text().split("\n")
        lights = np.array([[float(part) for part in line.split()] for line in lines[1:] if line.strip()])
        if lights.shape != (int(lines[0]), 3):
            raise ValueError("its first line is not the number of those that follow")
    except (OSError, ValueError) as error:
        raise NsrError(f"{path}: cannot be read as a table of lights: {error}") from error
    return lights / np.linalg.norm(lights, axis=1, keepdims=True) * [1, -1, -1]
