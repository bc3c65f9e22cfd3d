"""Scene folders in IDR's layout: ``image/``, ``mask/``, ``cameras.npz`` and perhaps ``ground_truth/mesh.ply``."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nsr.atomic import whole_folder
from nsr.errors import SceneError
from nsr.scenes.camera_file import read_camera_file, write_camera_file
from nsr.scenes.cameras import Cameras
from nsr.scenes.pictures import list_pictures, read_mask, read_picture, write_picture
from nsr.scenes.resize import resize_intrinsics, resize_mask, resize_picture
from nsr.scenes.scene import Scene
from nsr.scenes.view_selection import spread_views

IMAGE_FOLDER = "image"
MASK_FOLDER = "mask"
CAMERA_FILE = "cameras.npz"
GROUND_TRUTH_MESH = "ground_truth/mesh.ply"

logger = logging.getLogger("nsr")


@dataclass
class ViewFiles:
    """The files of one view; images and masks are paired by sorted order alone, as in IDR."""

    image: Path
    mask: Path


def pair_files(folder: Path, images: list[Path], masks: list[Path]) -> list[ViewFiles]:
    """Pair sorted images and masks.

    Raises:
        SceneError: their numbers differ.
    """
    if len(images) != len(masks):
        stems = {path.stem for path in images} ^ {path.stem for path in masks}
        example = f" (for example {min(stems)} has only one of them)" if stems else ""
        raise SceneError(
            f"{folder}: {len(images)} images but {len(masks)} masks{example}; every image needs one mask, paired by "
            "sorted order"
        )
    return [ViewFiles(image, mask) for image, mask in zip(images, masks, strict=True)]


def list_views(folder: str | Path) -> list[ViewFiles]:
    """The views of a scene folder.

    Raises:
        SceneError: a folder is missing or empty, or there are not as many masks as images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise SceneError(f"{folder}: there is no such scene folder")
    return pair_files(folder, list_pictures(folder / IMAGE_FOLDER), list_pictures(folder / MASK_FOLDER))


def view_names(folder: str | Path) -> list[str]:
    """The names of a scene folder's views, in their order: those of the image files, without suffix.

    Raises:
        SceneError: there are no images.
    """
    return [path.stem for path in list_pictures(Path(folder) / IMAGE_FOLDER)]


def pairing_warnings(files: list[ViewFiles]) -> list[str]:
    """What file names say against pairing by sorted order."""
    warnings = []
    for view, pair in enumerate(files):
        if _name_key(pair.image) != _name_key(pair.mask):
            warnings.append(
                f"view {view}: image {pair.image.name} is paired with mask {pair.mask.name} (both in sorted order); "
                "check that they belong together"
            )
            break
    numbers = [_name_key(pair.image) for pair in files]
    if all(isinstance(number, int) for number in numbers) and numbers != sorted(numbers):
        warnings.append(
            f"{files[0].image.parent}: the names sort as text ({files[0].image.name}, {files[1].image.name}, ...), "
            "not by their numbers, and cameras follow that order; pad the numbers with zeros if that is not meant"
        )
    return warnings


def _name_key(path: Path) -> int | str:
    """The number in a file name if it has just one (DTU pairs 000004.png with 004.png), else its stem."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[0]) if len(numbers) == 1 else path.stem


def read_view(files: ViewFiles) -> tuple[np.ndarray, np.ndarray]:
    """Read one view: image ``[H, W, 3]`` uint8 RGB and mask ``[H, W]`` bool.

    Raises:
        SceneError: one of them cannot be read, or their sizes differ.
    """
    image, mask = read_picture(files.image), read_mask(files.mask)
    if image.shape[:2] != mask.shape:
        raise SceneError(
            f"{files.mask}: the mask is {mask.shape[1]}x{mask.shape[0]} but the image {files.image.name} is "
            f"{image.shape[1]}x{image.shape[0]} (width x height); they must be equal"
        )
    return image, mask


def split_views(
    count: int, heldout_every: int, heldout_offset: int, selection: bool = False
) -> tuple[list[int], list[int]]:
    """Training and held-out views: held out where index % heldout_every == heldout_offset; 0: none.

    With ``selection``, other views are held out in their place, half way between them, and the held-out ones belong to
    neither list.
    """
    remainder = [view % heldout_every if heldout_every > 0 else -1 for view in range(count)]
    heldout = [view for view in range(count) if remainder[view] == heldout_offset]
    others = [view for view in range(count) if view not in heldout]
    if not selection or heldout_every == 0:
        return others, heldout
    middle = (heldout_offset + heldout_every // 2) % heldout_every
    chosen = [view for view in others if remainder[view] == middle]
    return [view for view in others if remainder[view] != middle], chosen


def load_scene(
    folder: str | Path,
    *,
    img_res: list[int] | tuple[int, int] | None = None,
    cam_file: str | None = None,
    heldout_every: int = 8,
    heldout_offset: int = 4,
    selection: bool = False,
    train_views: int = 0,
) -> Scene:
    """Read a scene folder in IDR's layout.

    Images may differ in size and stay uint8; each view has its own intrinsics, skew included, found by decomposing
    ``world_mat_i @ scale_mat_i``.  Memory is 4 bytes a pixel (3 of image, 1 of mask) and one view's files more.

    Args:
        folder: holds ``image/``, ``mask/`` and ``cameras.npz``; ``ground_truth/mesh.ply`` (world coordinates) is
            noted if there.
        img_res: (height, width); views that are larger are downsized to it, images by area, with their masks and
            intrinsics; where it exceeds a view it is ignored for that view, with a warning.
        cam_file: another npz than ``cameras.npz``, relative to the folder or absolute.
        heldout_every, heldout_offset: views with index % every == offset are held out; every = 0: none.
        selection: hold others out in their place, and look at those not at all (``split_views``).
        train_views: > 0: keep so many of the training views (``spread_views``); the others belong to neither list.

    Returns:
        the scene, on the CPU, cameras float32 in the normalised frame.

    Raises:
        SceneError: something is missing, unreadable or contradictory; one line that names it.
    """
    folder = Path(folder)
    if img_res is not None and (len(img_res) != 2 or min(img_res) < 1):
        raise SceneError(f"img_res is {list(img_res)}; it must be [height, width] in pixels, both at least 1")
    files = list_views(folder)
    camera_file = read_camera_file(folder / (cam_file or CAMERA_FILE))
    cameras, scale_mat = camera_file.cameras(len(files))
    trained, heldout_views = split_views(len(files), heldout_every, heldout_offset, selection)
    if not trained:
        raise SceneError(f"{folder}: all {len(files)} views are held out; lower heldout_every or add views")
    if train_views > 0:
        trained = spread_views(cameras, trained, train_views)
    for warning in [*pairing_warnings(files), camera_file.surplus(len(files))]:
        if warning:
            logger.warning(warning)

    images, masks = [], []
    kept_size = 0
    for view, pair in enumerate(files):
        image, mask = read_view(pair)
        size = mask.shape
        if img_res is not None and tuple(img_res) != size:
            if img_res[0] <= size[0] and img_res[1] <= size[1]:
                image, mask = resize_picture(image, tuple(img_res)), resize_mask(mask, tuple(img_res))
                intrinsics = resize_intrinsics(cameras.intrinsics[view].numpy(), size, mask.shape)
                cameras.intrinsics[view] = torch.from_numpy(intrinsics)
            else:
                kept_size += 1
        images.append(torch.from_numpy(image))
        masks.append(torch.from_numpy(mask))
    if kept_size:
        logger.warning(
            f"{folder}: img_res {img_res[0]}x{img_res[1]} (height x width) is larger than {kept_size} of {len(files)} "
            "images, which are used as they are: images are only ever downsized"
        )
    mesh = folder / GROUND_TRUTH_MESH
    return Scene(
        name=folder.resolve().name,
        images=images,
        masks=masks,
        cameras=cameras.to(torch.float32),
        scale_mat=scale_mat,
        train_views=trained,
        heldout_views=heldout_views,
        ground_truth_mesh=mesh if mesh.is_file() else None,
        folder=folder,
    )


def write_scene(
    folder: str | Path,
    images: Iterable[torch.Tensor | np.ndarray],
    masks: Iterable[torch.Tensor | np.ndarray],
    cameras: Cameras,
    scale_mat: np.ndarray,
    image_format: str = "png",
) -> None:
    """Write a scene folder in IDR's layout; image/, mask/ and cameras.npz appear together when all is written.

    Args:
        folder: made if it is not there; it may hold other things but no scene yet.
        images: per view ``[H, W, 3]`` uint8 RGB; may be a generator.
        masks: per view ``[H, W]`` bool, True on the object; may be a generator.
        cameras: in the normalised frame, one per image.
        scale_mat: ``[4, 4]`` similarity, normalised to world; the file's ``world_mat_i`` are in world coordinates.
        image_format: suffix of the images, "png" or "jpg"; masks are always PNG.

    Raises:
        SceneError: the folder has a scene already, image, mask and camera disagree, or the disk refuses.
    """
    folder = Path(folder)
    for entry in (IMAGE_FOLDER, MASK_FOLDER, CAMERA_FILE):
        if (folder / entry).exists():
            raise SceneError(f"{folder / entry} exists already; write the scene to a new folder or take that one away")
    try:
        with whole_folder(folder) as partial:
            (partial / IMAGE_FOLDER).mkdir()
            (partial / MASK_FOLDER).mkdir()
            count = 0
            for view, (image, mask) in enumerate(zip(images, masks, strict=True)):
                image, mask = np.asarray(image), np.asarray(mask)
                if image.dtype != np.uint8 or mask.dtype != bool or image.shape != (*mask.shape, 3):
                    raise SceneError(
                        f"{folder}: view {view} needs an image [H, W, 3] uint8 and a mask [H, W] bool; it has "
                        f"{list(image.shape)} {image.dtype} and {list(mask.shape)} {mask.dtype}"
                    )
                write_picture(partial / IMAGE_FOLDER / f"{view:03d}.{image_format}", image)
                write_picture(partial / MASK_FOLDER / f"{view:03d}.png", mask)
                count += 1
            if count != len(cameras):
                raise SceneError(f"{folder}: {count} images but {len(cameras)} cameras to write")
            write_camera_file(partial / CAMERA_FILE, cameras, scale_mat)
    except OSError as error:
        raise SceneError(f"{folder}: the scene cannot be written ({error.strerror or error})") from error
