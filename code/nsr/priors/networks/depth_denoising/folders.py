"""Folders of frames: noisy depth, infrared beside it, true depth where there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from torch.utils.data import Dataset

from nsr.errors import NsrError
from nsr.priors.networks.common.depth_png import write_depth_png, write_pixels
from nsr.priors.networks.common.real_data import real_folder
from nsr.priors.networks.common.samples import Sample
from nsr.priors.networks.depth_denoising.depth_files import is_infrared, read_depth, read_infrared
from nsr.priors.networks.depth_denoising.simulated import as_sample, facing_of, random_sensor, simulate

LIVING_ROOM, LIVING_ROOM_FOCAL = "depth/livingroom", 525.0
_DEPTHS = (".png", ".raw")
_PICTURES = (*_DEPTHS, ".jpg", ".jpeg")


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame: ``noisy`` depth, and where there are any, ``infrared`` and the ``truth``."""

    name: str
    noisy: Path
    infrared: Path | None
    truth: Path | None


def find_frames(folder: str | Path) -> list[FrameFiles]:
    """The frames of a folder, in the order of their numbers.

    ``res-N.png`` is noisy depth, ``left-N.png`` the infrared picture and ``gt-N.png`` the true depth; or ``*.raw``
    dumps, infrared ones with "Infrared" where the depth's name has "Depth"; or plain 16-bit PNGs, each noisy depth.

    Raises:
        NsrError: there is no such folder, or no frame in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NsrError(f"{folder}: there is no such folder of depth frames")
    files = {path.name: path for path in folder.iterdir() if path.suffix.lower() in _PICTURES and path.name[0] != "."}
    if any(name.startswith("res-") for name in files):
        found = [
            FrameFiles(
                name.removeprefix("res-").rsplit(".", 1)[0],
                path,
                files.get(name.replace("res-", "left-", 1)),
                files.get(name.replace("res-", "gt-", 1)),
            )
            for name, path in files.items()
            if name.startswith("res-")
        ]
    else:
        depths = [path for path in files.values() if path.suffix.lower() in _DEPTHS and not is_infrared(path)]
        # a name without "depth" in it would be its own infrared picture
        beside = {path: re.sub("(?i)depth", "Infrared", path.name) for path in depths if "depth" in path.name.lower()}
        found = [FrameFiles(path.stem, path, files.get(beside.get(path, "")), None) for path in depths]
    if not found:
        raise NsrError(f"{folder}: there are no depth frames in it (res-N.png, *.raw or 16-bit *.png)")
    return sorted(
        found, key=lambda frame: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", frame.name)]
    )


class FolderFrames(Dataset):
    """The frames of a folder; without a true depth the mask is empty, and they can be denoised but not learnt from.

    Args:
        folder: see ``find_frames``.
        needs_truth: refuse frames without a true depth.

    Raises:
        NsrError: as ``find_frames``, or a true depth is missing.
    """

    def __init__(self, folder: str | Path, count: int | None = None, needs_truth: bool = False):
        self.files = find_frames(folder)[:count]
        if needs_truth and (without := [frame for frame in self.files if frame.truth is None]):
            raise NsrError(
                f"{without[0].noisy}: there is no true depth beside it; training needs a gt-N.png for each res-N.png"
            )
        self.scenes = [f"{Path(folder).name}-{frame.name}" for frame in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        frame = self.files[index]
        noisy = read_depth(frame.noisy)
        infrared = read_infrared(frame.infrared) if frame.infrared else np.zeros_like(noisy)
        truth = read_depth(frame.truth) if frame.truth else np.zeros_like(noisy)
        for path, maps in ((frame.infrared, infrared), (frame.truth, truth)):
            if maps.shape != noisy.shape:
                raise NsrError(
                    f"{path}: is {maps.shape[1]}x{maps.shape[0]}, but {frame.noisy.name} is "
                    f"{noisy.shape[1]}x{noisy.shape[0]} (width x height)"
                )
        if not (noisy > 0).any():
            raise NsrError(f"{frame.noisy}: nothing is measured in it, every pixel is a hole; take it out")
        maps = {"noisy": noisy, "depth": truth, "infrared": infrared, "mask": (truth > 0).astype(np.float32)}
        return as_sample(maps, frame.name, self.scenes[index])


class LivingRoom(Dataset):
    """Clean depth of a living room (ICL-NUIM) through simulated stereo cameras, its colours as infrared picture.

    Args:
        count: of frames, the first ones.
        seed: of the cameras and their noise.

    Raises:
        NsrError: the environment variable NSR_DATA is not set, or the frames are not below it.
    """

    def __init__(self, count: int, seed: int):
        self.seed, self.folder = seed, real_folder(LIVING_ROOM)
        self.names = sorted(path.stem for path in (self.folder / "depth").glob("*.png"))[:count]
        if not self.names:
            raise NsrError(f"{self.folder}: there are no frames in its depth/")
        self.scenes = [f"livingroom-{name}" for name in self.names]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng([self.seed, index])
        depth = read_depth(self.folder / "depth" / f"{self.names[index]}.png").astype(np.float64)
        grey = read_infrared(self.folder / "image" / f"{self.names[index]}.jpg")
        facing = facing_of(depth, LIVING_ROOM_FOCAL)
        noisy, infrared = simulate(depth, LIVING_ROOM_FOCAL, grey, facing, random_sensor(random), random)
        maps = {"noisy": noisy, "depth": depth, "infrared": infrared, "mask": depth > 0}
        return as_sample(maps, self.names[index], self.scenes[index])


class Prepared(Dataset):
    """Frames as the flags ask for them.

    Args:
        dataset: frames.
        holes_count: holes of the noisy depth are learnt to be filled; else they are left out of the mask.
        erode: pixels about holes that become holes too, where outlines are least certain.
        background: metres, beyond which depth is as if it were not there; 0 keeps all.  What was measured there is then
            1 in one more map, ``beyond``: it is no hole to be filled.
    """

    def __init__(self, dataset, holes_count: bool = True, erode: int = 0, background: float = 0.0):
        self.dataset, self.scenes = dataset, dataset.scenes
        self.holes_count, self.erode, self.background = holes_count, erode, background

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        sample = dict(self.dataset[index])
        noisy, depth, mask = sample["noisy"], sample["depth"], sample["mask"]
        if self.background > 0:
            sample["beyond"] = (noisy > self.background).to(noisy.dtype)
            noisy, mask = noisy * (1 - sample["beyond"]), mask * (depth <= self.background)
        if self.erode > 0:
            kernel = np.ones((2 * self.erode + 1, 2 * self.erode + 1), np.uint8)
            kept = cv2.erode((noisy[0] > 0).numpy().astype(np.uint8), kernel, borderValue=1)
            noisy = noisy * noisy.new_tensor(kept)
        if not self.holes_count:
            mask = mask * (noisy > 0)
        return {**sample, "noisy": noisy, "mask": mask}


def convert_raw(source: str | Path, destination: str | Path) -> int:
    """Write every ``*.raw`` dump of a folder as a PNG of its name: depth in 16 bits, infrared in 8.

    Returns:
        how many.

    Raises:
        NsrError: there is none, or one of a size that is not known; then nothing is written.
    """
    dumps = sorted(Path(source).glob("*.raw"))
    if not dumps:
        raise NsrError(f"{source}: there are no *.raw dumps in it")
    frames = {path: read_infrared(path) if is_infrared(path) else read_depth(path) for path in dumps}
    for path, frame in frames.items():
        target = Path(destination) / f"{path.stem}.png"
        if is_infrared(path):
            write_pixels(target, np.round(255 * frame).astype(np.uint8))
        else:
            write_depth_png(target, frame)
    return len(frames)
