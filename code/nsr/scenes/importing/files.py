"""The files of a source: found, and read with errors that name them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from nsr.errors import SceneError

PHOTOGRAPH_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def list_photographs(folder: Path) -> list[Path]:
    """The photographs of a folder, sorted by name; none is not an error here."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in PHOTOGRAPH_SUFFIXES and path.name[0] != "."
    )


def find_photographs(names: Iterable[str], folders: Iterable[Path]) -> list[Path]:
    """A file for every name.

    A name may lead through folders, and may lack its suffix (as in Blender's synthetic scenes); where its path does
    not exist, a file of that name in one of the folders will do.

    Args:
        names: as the source has them; folders: where to look, in this order.

    Raises:
        SceneError: some are nowhere; the line names the first and says how many.
    """
    names, folders = list(names), [Path(folder) for folder in folders]
    found = [_find(name, folders) for name in names]
    missing = [name for name, path in zip(names, found, strict=True) if path is None]
    if missing:
        looked = ", ".join(dict.fromkeys(map(str, folders)))
        raise SceneError(
            f"{len(missing)} of {len(names)} photographs are missing, first of all {missing[0]}: looked in {looked}; "
            "give their folder with --images"
        )
    return found


def _find(name: str, folders: list[Path]) -> Path | None:
    relative = Path(name.replace("\\", "/"))
    for folder in folders:
        for candidate in dict.fromkeys((folder / relative, folder / relative.name)):
            if candidate.is_file():
                return candidate
            if candidate.suffix.lower() not in PHOTOGRAPH_SUFFIXES:
                for suffix in (*PHOTOGRAPH_SUFFIXES, *(suffix.upper() for suffix in PHOTOGRAPH_SUFFIXES)):
                    if (with_suffix := candidate.with_name(candidate.name + suffix)).is_file():
                        return with_suffix
    return None


def read_json(path: Path) -> dict:
    """A JSON object.

    Raises:
        SceneError: unreadable, not JSON, or not an object.
    """
    content = read_text(path)
    try:
        value = json.loads(content)
    except ValueError as error:
        raise SceneError(f"{path}: not JSON, or cut short ({error})") from error
    if not isinstance(value, dict):
        raise SceneError(f"{path}: a JSON object with keys is expected")
    return value


def read_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        SceneError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise SceneError(f"{path}: cannot be read ({reason})") from error


def number(values: dict, key: str, where: str, default: float | None = None) -> float:
    """The number under ``key``; ``default`` where there is none.

    Raises:
        SceneError: it is missing (and no default is given) or no number.
    """
    value = values.get(key, default)
    if value is None:
        raise SceneError(f"{where}: it has no {key}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SceneError(f"{where}: {key} is {value!r} and not a number")
    return float(value)
