"""Finding a scene folder from what a conf says."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nsr.config.schema import DatasetConfig
from nsr.errors import SceneError
from nsr.scenes.idr_folder import CAMERA_FILE, IMAGE_FOLDER, load_scene
from nsr.scenes.scene import Scene

DATA_VARIABLE = "NSR_DATA"
REPOSITORY = Path(__file__).resolve().parents[3]


def scene_from_config(dataset: DatasetConfig) -> Scene:
    """Find and load the scene that a conf's ``dataset`` section names.

    Raises:
        SceneError: it is not found, or cannot be loaded.
    """
    return load_scene(
        resolve_scene_folder(dataset.data_dir, dataset.scan_id),
        img_res=dataset.img_res,
        cam_file=dataset.cam_file,
        heldout_every=dataset.heldout_every,
        heldout_offset=dataset.heldout_offset,
        selection=dataset.selection,
        train_views=dataset.train_views,
    )


def resolve_scene_folder(data_dir: str | Path, scan_id: int = -1) -> Path:
    """The scene folder ``data_dir``, or ``data_dir/scan<scan_id>`` when ``scan_id`` >= 0.

    An absolute ``data_dir`` is taken as it is.  A relative one is looked for below the current directory, the folder
    in the environment variable NSR_DATA, the repository's ``data`` and the repository itself, and then the current
    directory, the two above it and the ``data`` of each (so that a path works from the root and from ``code/`` alike).
    The first that holds a scene is taken; failing that, the first that exists, so that what it lacks can be reported.

    Raises:
        SceneError: it is nowhere; the message lists where it was looked for, and the scans that are there instead.
    """
    data_dir = Path(data_dir).expanduser()
    bases = [data_dir] if data_dir.is_absolute() else [root / data_dir for root in _roots()]
    folders = list(dict.fromkeys(base / f"scan{scan_id}" if scan_id >= 0 else base for base in bases))
    existing = [folder for folder in folders if folder.is_dir()]
    for folder in existing:
        if (folder / CAMERA_FILE).is_file() or (folder / IMAGE_FOLDER).is_dir():
            return folder
    scans = {base: found for base in bases if (found := _scans(base))}
    there = "".join(f"; {base} has scans {', '.join(map(str, found))}" for base, found in scans.items())
    if existing and scan_id < 0 and there:
        raise SceneError(f"{existing[0]} is a folder of scans, not a scene: name one by its scan_id{there}")
    if existing:
        return existing[0]
    if files := [folder for folder in folders if folder.is_file()]:
        raise SceneError(f"{files[0]} is a file; a scene is a folder that holds image/, mask/ and cameras.npz")
    if not there:
        there = f"; give a path that exists or set {DATA_VARIABLE} to the folder that holds it"
    raise SceneError(f"no scene {folders[0].name}: looked in {', '.join(map(str, folders))}{there}")


def find_data_file(name: str | Path) -> Path | None:
    """A file that a conf names, looked for where ``resolve_scene_folder`` looks for scenes; None: it is nowhere."""
    path = Path(name).expanduser()
    candidates = [path] if path.is_absolute() else [root / path for root in _roots()]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _roots() -> list[Path]:
    here = Path.cwd()
    roots = [here]
    if os.environ.get(DATA_VARIABLE):
        roots.append(Path(os.environ[DATA_VARIABLE]).expanduser())
    roots += [REPOSITORY / "data", REPOSITORY]
    for folder in (here, *here.parents[:2]):
        roots += [folder, folder / "data"]
    return roots


def _scans(folder: Path) -> list[int]:
    """The numbers of the ``scan<ID>`` folders in a folder."""
    if not folder.is_dir():
        return []
    names = [re.fullmatch(r"scan(\d+)", path.name) for path in folder.iterdir() if path.is_dir()]
    return sorted(int(match[1]) for match in names if match)
