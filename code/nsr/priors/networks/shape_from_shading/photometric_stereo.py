"""Real photographs with a reference: one object under several known lights, and the surface that they give together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import coo_matrix, identity
from scipy.sparse.linalg import spsolve
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.common.photometric import LitPictures, photometric_normals
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.shape_from_shading.generate import as_tensors
from nsr.priors.networks.shape_from_shading.photographs import low_resolution_depth, sparse_lines
from nsr.priors.networks.shape_from_shading.rig import Rig


class PhotometricFolder(Dataset):
    """One sample of an object under several known lights.

    The folder is one of ``LitPictures``.  The shading is the picture whose light is nearest to the rig's lamp; there is
    no pattern.  ``normal`` is of photometric stereo over all pictures, ``depth`` those normals integrated, with the
    object set at 1 m before the rig's camera: its true size is not known.  ``low`` is that depth where lines of a grid
    would hit it, interpolated.

    Raises:
        NsrError: the folder lacks a file, the lights and the pictures differ in number, or, when the sample is read,
            the mask leaves next to nothing.
    """

    def __init__(self, folder: str | Path, rig: Rig, pitch: float):
        self.lit, self.rig, self.pitch = LitPictures(folder), rig, pitch
        self.scenes = [self.lit.name]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        if index:
            raise IndexError(index)
        pictures = self.lit.pictures().mean(axis=-1) / 255
        mask = self.lit.mask()
        normal, albedo = photometric_normals(pictures, self.lit.lights)
        facing = (normal * self.rig.rays(*mask.shape)).sum(-1) < -0.1
        mask = mask & (albedo > 0) & facing
        if not mask.any():
            raise NsrError(f"{self.lit.mask_file}: leaves no pixel that is lit and faces the camera")
        depth = integrated_depth(normal, mask, self.rig)
        _, on_line = sparse_lines(self.rig, np.where(mask, depth, 1.0), self.pitch)
        low = low_resolution_depth(depth, on_line & mask, self.pitch)
        lamp = np.array(self.rig.lamp) - [0, 0, 1]
        shading = pictures[int(np.argmax(self.lit.lights @ lamp))]
        maps = {
            "shading": shading[None],
            "low": (low * mask)[None],
            "depth": (depth * mask)[None],
            "normal": np.moveaxis(normal, -1, 0) * mask,
            "albedo": (albedo * mask)[None],
            "mask": mask[None],
        }
        return {**as_tensors(maps), "name": self.lit.name, "scene": self.lit.name}


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
