"""Real photographs with a reference: one object under several known lights, and the surface that they give together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import spsolve
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.shape_from_shading.generate import as_tensors
from nsr.priors.networks.shape_from_shading.photographs import low_resolution_depth, sparse_lines
from nsr.priors.networks.shape_from_shading.rig import Rig
from nsr.scenes.pictures import read_mask, read_picture

LIGHTS = "lights.txt"


class PhotometricFolder(Dataset):
    """One sample of a folder with ``NAME.0.png`` to ``NAME.<n-1>.png``, ``NAME.mask.png`` and ``lights.txt``.

    ``lights.txt`` holds the number of pictures and, a line each, unit directions to the light (x right, y up, z
    towards the camera).  The shading is the picture whose light is nearest to the rig's lamp; there is no pattern.
    ``normal`` is of photometric stereo over all pictures, ``depth`` those normals integrated, with the object set at
    1 m before the rig's camera: its true size is not known.  ``low`` is that depth where lines of a grid would hit
    it, interpolated.

    Raises:
        NsrError: the folder lacks a file, or the lights and the pictures differ in number.
    """

    def __init__(self, folder: str | Path, rig: Rig, pitch: float):
        self.folder, self.rig, self.pitch = Path(folder), rig, pitch
        self.lights = _read_lights(self.folder / LIGHTS)
        masks = sorted(self.folder.glob("*.mask.png"))
        if len(masks) != 1:
            raise NsrError(f"{self.folder}: {len(masks)} files are named *.mask.png; one is needed")
        self.mask_file = masks[0]
        self.name = masks[0].name.removesuffix(".mask.png")
        self.files = [self.folder / f"{self.name}.{number}.png" for number in range(len(self.lights))]
        missing = [path.name for path in self.files if not path.is_file()]
        if missing:
            raise NsrError(f"{self.folder}: {LIGHTS} tells of {len(self.lights)} pictures, but {missing[0]} is missing")
        self.scenes = [self.name]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        if index:
            raise IndexError(index)
        pictures = np.stack([read_picture(path).mean(axis=-1) / 255 for path in self.files])
        mask = read_mask(self.mask_file)
        normal, albedo = photometric_normals(pictures, self.lights)
        facing = (normal * self.rig.rays(*mask.shape)).sum(-1) < -0.1
        mask = mask & (albedo > 0) & facing
        depth = integrated_depth(normal, mask, self.rig)
        _, on_line = sparse_lines(self.rig, np.where(mask, depth, 1.0), self.pitch)
        low = low_resolution_depth(depth, on_line & mask, self.pitch)
        lamp = np.array(self.rig.lamp) - [0, 0, 1]
        shading = pictures[int(np.argmax(self.lights @ lamp))]
        maps = {
            "shading": shading[None],
            "low": (low * mask)[None],
            "depth": (depth * mask)[None],
            "normal": np.moveaxis(normal, -1, 0) * mask,
            "albedo": (albedo * mask)[None],
            "mask": mask[None],
        }
        return {**as_tensors(maps), "name": self.name, "scene": self.name}


def photometric_normals(pictures: np.ndarray, lights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals and albedo of a Lambertian surface under distant lights (Woodham 1980).

    Each pixel's equations are weighted with its brightness, so that shadows have little say.

    Args:
        pictures: ``[n, H, W]`` linear brightness; lights: ``[n, 3]`` unit directions to the light.

    Returns:
        ``[H, W, 3]`` unit normals in the frame of the lights, and ``[H, W]`` albedo, 0 where a pixel is dark in all.
    """
    weighted = pictures**2
    matrix = np.einsum("nhw,ni,nj->hwij", weighted, lights, lights) + 1e-9 * np.eye(3)
    right = np.einsum("nhw,ni->hwi", weighted * pictures, lights)
    scaled = np.linalg.solve(matrix, right[..., None])[..., 0]
    albedo = np.linalg.norm(scaled, axis=-1)
    return scaled / np.maximum(albedo, 1e-12)[..., None], albedo


def integrated_depth(normal: np.ndarray, mask: np.ndarray, rig: Rig, distance: float = 1.0) -> np.ndarray:
    """The depth map whose normals these are, in the least-squares sense, seen in perspective.

    A point z r on the ray r has tangents z_u r + z r_u; both are orthogonal to the normal, which gives the differences
    of log z between neighbours.  What the mask separates is set to the same mean each on its own.

    Args:
        normal: ``[H, W, 3]`` unit, camera frame, towards the camera; mask: ``[H, W]`` bool.
        distance: geometric mean of the depth, metres.

    Returns:
        ``[H, W]`` float64 metres, 0 outside the mask.
    """
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(np.count_nonzero(mask))
    along_ray = (normal * rig.rays(*mask.shape)).sum(-1)
    rows, columns, signs, steps = [], [], [], []
    equations = 0
    for axis, component in ((1, 0), (0, 1)):
        slope = np.where(mask, -normal[..., component] / (rig.focal[component] * np.where(mask, along_ray, 1)), 0)
        first, second = np.delete(number, -1, axis), np.delete(number, 0, axis)
        both = (first >= 0) & (second >= 0)
        step = (np.delete(slope, -1, axis) + np.delete(slope, 0, axis))[both] / 2
        index = equations + np.arange(len(step))
        rows += [index, index]
        columns += [second[both], first[both]]
        signs += [np.ones(len(step)), -np.ones(len(step))]
        steps.append(step)
        equations += len(step)
    shape = (equations, int(number.max()) + 1)
    difference = coo_matrix((np.concatenate(signs), (np.concatenate(rows), np.concatenate(columns))), shape).tocsr()
    # the faint pull to 0 fixes the constant of each connected part, which the differences leave open
    laplacian = difference.T @ difference + 1e-9 * identity(shape[1])
    log_depth = spsolve(laplacian.tocsc(), difference.T @ np.concatenate(steps))
    depth = np.zeros(mask.shape)
    depth[mask] = distance * np.exp(log_depth)
    return depth


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
