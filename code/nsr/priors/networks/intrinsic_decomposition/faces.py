"""The file format of the original data: ``train.csv`` beside ``<id>_albedo_<a>_<b>.png`` and its fellows.

A row of the table names the files of one picture, relative to the table's folder: columns albedo, normal, depth, mask,
face, light, name.  Normals are 8-bit, (v - 128) / 128, in axes x right, y up, z towards the viewer; a light is a text
of 27 numbers; a mask or depth of ``None`` is not there, and every pixel then counts.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from nsr.atomic import whole_file
from nsr.errors import NsrError
from nsr.priors.networks.intrinsic_decomposition.illumination import COEFFICIENTS, change_frame, shade
from nsr.scenes.pictures import as_uint8, read_picture, write_picture

COLUMNS = ("albedo", "normal", "depth", "mask", "face", "light", "name")
NONE = "None"
TABLES = ("train.csv", "test.csv")


def read_levels(path: Path) -> np.ndarray:
    """A picture as ``[3, H, W]`` float32 in [0, 255], red first; 16 bits are brought to 8.

    Raises:
        NsrError: it is missing or no picture.
    """
    return np.ascontiguousarray(read_picture(path).transpose(2, 0, 1), dtype=np.float32)


def write_levels(path: Path, values: torch.Tensor) -> None:
    """``[3, H, W]`` in [0, 1] (cut to it) as an 8-bit picture."""
    with whole_file(path) as partial:
        write_picture(partial, as_uint8(values.detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy()))


def decode_normals(levels: np.ndarray) -> torch.Tensor:
    """8-bit ``[3, H, W]`` -> unit normals in the camera frame; zero where the levels say nothing (128, 128, 128)."""
    vectors = torch.from_numpy((levels - 128) / 128).float()
    return change_frame(torch.nn.functional.normalize(vectors, dim=0), dim=0)


def encode_normals(normal: torch.Tensor) -> torch.Tensor:
    """Unit normals ``[3, H, W]`` in the camera frame -> 8-bit levels (v * 128 + 128, cut at 255), as float / 255."""
    return (change_frame(normal, dim=0) * 128 + 128).round().clamp(0, 255) / 255


def read_light(path: Path) -> torch.Tensor:
    """The 27 numbers of a light, ``[27]``.

    Raises:
        NsrError: the file is missing, or does not hold 27 finite numbers.
    """
    try:
        light = np.array(path.read_text().split(), dtype=np.float32)
    except FileNotFoundError as error:
        raise NsrError(f"{path}: there is no such file; check the table that names it") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise NsrError(f"{path}: holds something else than numbers; a light is {COEFFICIENTS} of them") from error
    if light.shape != (COEFFICIENTS,) or not np.isfinite(light).all():
        raise NsrError(f"{path}: holds {light.size} numbers; a light is {COEFFICIENTS} finite ones")
    return torch.from_numpy(light)


def write_light(path: Path, light: torch.Tensor) -> None:
    """``[27]`` as one line of tab-separated numbers, exact in float32."""
    with whole_file(path) as partial:
        partial.write_text("\t".join(f"{value:.9g}" for value in light.flatten().tolist()) + "\n")


def index_folder(folder: Path) -> list[dict[str, str]]:
    """Rows of a table for every ``<id>_face_<a>_<b>.png`` below ``folder``, sorted; absent masks and depths ``None``.

    Raises:
        NsrError: there is none, or one lacks its albedo, normal or light.
    """
    rows = []
    for face in sorted(folder.rglob("*_face_*.png")):
        head, _, tail = face.stem.rpartition("_face_")
        row = {"name": f"{head}_{tail}", "face": str(face.relative_to(folder))}
        for kind, suffix in (("albedo", "png"), ("normal", "png"), ("depth", "png"), ("mask", "png"), ("light", "txt")):
            path = face.with_name(f"{head}_{kind}_{tail}.{suffix}")
            if not path.is_file() and kind not in ("depth", "mask"):
                raise NsrError(f"{path}: is missing beside {face.name}; add it, or take the picture out")
            row[kind] = str(path.relative_to(folder)) if path.is_file() else NONE
        rows.append(row)
    if not rows:
        raise NsrError(f"{folder}: there is no <id>_face_<a>_<b>.png below it; give a folder of the original format")
    return rows


def write_index(path: Path, rows: list[dict[str, str]]) -> None:
    """The table of ``rows``."""
    with whole_file(path) as partial, open(partial, "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def append_row(path: Path, row: dict[str, str]) -> None:
    """Add a row to a table, which is begun where there is none; of two rows with one name the later counts."""
    begun = path.is_file()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not begun:
            writer.writeheader()
        writer.writerow(row)


class FaceFolder(Dataset):
    """Samples of a table in the original format: maps as of ``SyntheticPictures``.

    ``shading`` is what the light makes of the normals: such data knows no other.  ``depth`` files are not read.

    Args:
        table: the CSV file, or a folder that holds one of ``TABLES``; without, the folder is indexed as it is.
        size: the short side of the samples, which pictures are scaled down to and cut square about their middle; None
            leaves them as they are.
        synthetic: whether these labels are true (rendered), or pseudo-labels.
    """

    def __init__(self, table: str | Path, size: int | None = None, synthetic: bool = True, first: int | None = None):
        table = Path(table)
        if table.is_dir():
            found = [table / name for name in TABLES if (table / name).is_file()]
            self.folder = table
            rows = read_index(found[0]) if found else index_folder(table)
        else:
            self.folder, rows = table.parent, read_index(table)
        self.rows = rows[:first]
        self.size, self.synthetic = size, synthetic
        self.scenes = [row["name"].partition("_")[0] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor | str]:
        row = self.rows[index]
        maps = {name: read_levels(self.folder / row[name]) for name in ("face", "albedo", "normal")}
        if row["mask"] != NONE:
            maps["mask"] = read_levels(self.folder / row["mask"])
        shape = maps["face"].shape
        for name, values in maps.items():
            if values.shape != shape:
                raise NsrError(
                    f"{self.folder / row[name]}: is {values.shape[2]}x{values.shape[1]}, but its face is "
                    f"{shape[2]}x{shape[1]}; they must agree"
                )
        if self.size:
            maps = {name: _square(values, self.size) for name, values in maps.items()}
        normal = decode_normals(maps["normal"])
        light = read_light(self.folder / row["light"])
        mask = torch.from_numpy(maps["mask"][:1] > 127).float() if "mask" in maps else torch.ones_like(normal[:1])
        if not mask.any():
            raise NsrError(f"{self.folder / row['mask']}: is empty; take the picture out of the table")
        return {
            "image": torch.from_numpy(maps["face"] / 255),
            "normal": normal,
            "albedo": torch.from_numpy(maps["albedo"] / 255),
            "shading": shade(normal[None], light[None])[0],
            "mask": mask,
            "light": constant_map(light, mask),
            "synthetic": constant_map(torch.full((1,), float(self.synthetic)), mask),
            "name": row["name"],
            "scene": self.scenes[index],
        }


def constant_map(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """``values`` ``[C]`` as a map of the mask's size that takes no memory of its own."""
    return values.view(-1, 1, 1).expand(-1, *mask.shape[-2:])


def read_index(path: Path) -> list[dict[str, str]]:
    """Rows of a table, of those with one name the last.

    Raises:
        NsrError: it is missing, empty, or lacks a column.
    """
    try:
        with open(path, newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise NsrError(f"{path}: has no column {', '.join(missing)}; a table has {', '.join(COLUMNS)}")
            rows = list({row["name"]: {name: row[name] or NONE for name in COLUMNS} for row in reader}.values())
    except FileNotFoundError as error:
        raise NsrError(f"{path}: there is no such table") from error
    if not rows:
        raise NsrError(f"{path}: has no rows")
    return rows


def _square(values: np.ndarray, size: int) -> np.ndarray:
    """Cut square about the middle, then scaled to ``size`` (pixel areas)."""
    height, width = values.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = np.ascontiguousarray(values[:, top : top + side, left : left + side].transpose(1, 2, 0))
    method = cv2.INTER_AREA if side >= size else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(cut, (size, size), interpolation=method).transpose(2, 0, 1))
