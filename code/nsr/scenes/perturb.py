"""Rough cameras made from exact ones, to measure what camera optimisation gives back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from nsr.scenes.camera_file import read_camera_file, write_camera_file
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import CAMERA_FILE, IMAGE_FOLDER
from nsr.scenes.pictures import list_pictures

ROUGH_CAMERA_FILE = "cameras_linear_init.npz"  # IDR's name for the cameras that a linear method found


def perturb_cameras(cameras: Cameras, degrees: float, fraction_of_distance: float, seed: int) -> Cameras:
    """Turn and move every camera by a fixed amount in a random direction.

    Each camera turns about its own centre by exactly ``degrees`` around an axis drawn uniformly from the sphere, and
    its centre moves by exactly ``fraction_of_distance`` times its distance to the origin in a direction drawn
    likewise.  Intrinsics stay.  Not differentiable.

    Args:
        cameras: ``V`` cameras, in any frame.
        degrees: angle of the rotation.
        fraction_of_distance: length of the move as a fraction of the distance to the origin.
        seed: equal seeds give equal cameras.

    Returns:
        new cameras of the same dtype on the same device.
    """
    generator = np.random.default_rng(seed)
    axes, moves = (_unit(generator.standard_normal((len(cameras), 3))) for _ in range(2))
    poses = cameras.poses.detach().cpu().double().numpy().copy()
    turns = Rotation.from_rotvec(np.radians(degrees) * axes).as_matrix()
    poses[:, :3, :3] = turns @ poses[:, :3, :3]
    distances = np.linalg.norm(poses[:, :3, 3], axis=-1, keepdims=True)
    poses[:, :3, 3] += fraction_of_distance * distances * moves
    return Cameras(cameras.intrinsics.detach().clone(), torch.from_numpy(poses).to(cameras.poses))


def write_perturbed_cameras(
    folder: str | Path,
    degrees: float,
    fraction_of_distance: float,
    seed: int,
    name: str = ROUGH_CAMERA_FILE,
) -> Path:
    """Perturb the cameras of a scene folder (see ``perturb_cameras``) and write them beside ``cameras.npz``.

    Returns:
        the file, which ``load_scene`` reads as ``cam_file=name``; a file of that name is replaced.

    Raises:
        SceneError: the scene's cameras cannot be read, or the file cannot be written.
    """
    folder = Path(folder)
    cameras, scale_mat = read_camera_file(folder / CAMERA_FILE).cameras(len(list_pictures(folder / IMAGE_FOLDER)))
    write_camera_file(folder / name, perturb_cameras(cameras, degrees, fraction_of_distance, seed), scale_mat)
    return folder / name


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
