"""A smaller copy of a scene folder."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import torch

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.scenes.camera_file import read_camera_file, write_camera_file
from nsr.scenes.cameras import Cameras
from nsr.scenes.idr_folder import CAMERA_FILE, GROUND_TRUTH_MESH, list_views, read_view, write_scene
from nsr.scenes.pictures import picture_size
from nsr.scenes.resize import resize_intrinsics, resize_mask, resize_picture


def downscale_scene(
    source: str | Path,
    target: str | Path,
    *,
    factor: float | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Write a copy of a scene with smaller images and masks, and with every camera file's intrinsics scaled to them.

    Args:
        source: an IDR scene folder; each ``*.npz`` of cameras in it is carried over, and its ground-truth mesh.
        target: a new or empty folder; the scene appears whole or not at all.
        factor: each view's height and width are divided by it and rounded; at least 1.
        size: or (height, width) for all views, no larger than any of them.

    Raises:
        SceneError: the source cannot be read, a view would grow, or the target cannot be written.
        ValueError: not exactly one of ``factor`` and ``size`` is given.
    """
    if (factor is None) == (size is None):
        raise ValueError("give either factor or size")
    if factor is not None and factor < 1:
        raise SceneError(f"a factor of {factor:g} would enlarge the scene; it must be at least 1")
    source, target = Path(source), Path(target)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise SceneError(f"{target} is a file or not empty; write the smaller scene to a new folder")
    files = list_views(source)
    old_sizes = [picture_size(pair.image) for pair in files]
    new_sizes = [tuple(size) if size else (round(old[0] / factor), round(old[1] / factor)) for old in old_sizes]
    for pair, old, new in zip(files, old_sizes, new_sizes, strict=True):
        if not (0 < new[0] <= old[0] and 0 < new[1] <= old[1]):
            raise SceneError(
                f"{pair.image}: cannot go from {old[0]}x{old[1]} to {new[0]}x{new[1]} (height x width); scenes are "
                "only ever downscaled, to one pixel at least"
            )

    def scaled_cameras(path: Path):
        cameras, scale_mat = read_camera_file(path).cameras(len(files))
        intrinsics = [
            torch.from_numpy(resize_intrinsics(matrix.numpy(), old, new))
            for matrix, old, new in zip(cameras.intrinsics, old_sizes, new_sizes, strict=True)
        ]
        return Cameras(torch.stack(intrinsics), cameras.poses), scale_mat

    # write_scene takes one image and one mask at a time, so each view is read once and one is in memory
    for_images, for_masks = itertools.tee(zip(map(read_view, files), new_sizes, strict=True))
    images = (resize_picture(image, new) for (image, _), new in for_images)
    masks = (resize_mask(mask, new) for (_, mask), new in for_masks)
    try:
        with whole_folder(target) as partial:
            write_scene(partial, images, masks, *scaled_cameras(source / CAMERA_FILE))
            for path in sorted(source.glob("*.npz")):
                if path.name != CAMERA_FILE and read_camera_file(path).world_mats:
                    write_camera_file(partial / path.name, *scaled_cameras(path))
            if (source / GROUND_TRUTH_MESH).is_file():
                (partial / GROUND_TRUTH_MESH).parent.mkdir()
                shutil.copyfile(source / GROUND_TRUTH_MESH, partial / GROUND_TRUTH_MESH)
    except OSError as error:
        raise SceneError(f"{target}: the smaller scene cannot be written ({error.strerror or error})") from error
