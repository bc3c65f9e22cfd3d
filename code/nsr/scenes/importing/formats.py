"""Which reader a source wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nsr.errors import SceneError
from nsr.scenes.importing.colmap import find_model, read_colmap
from nsr.scenes.importing.middlebury import find_par, read_middlebury
from nsr.scenes.importing.source import Source
from nsr.scenes.importing.transforms import BLENDER_FILE, FILE, read_transforms


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda source: any((source / name).is_file() for name in names)


# In the order in which they are tried: what is recognised by, and the reader.
FORMATS: dict[str, tuple[Callable[[Path], bool], Callable[..., Source]]] = {
    "transforms": (
        lambda source: _has(FILE)(source) or (source.suffix == ".json" and source.is_file()),
        read_transforms,
    ),
    "blender": (_has(BLENDER_FILE), read_transforms),
    "middlebury": (lambda source: find_par(source) is not None, read_middlebury),
    "colmap": (lambda source: find_model(source) is not None, read_colmap),
}


def detect_format(source: Path) -> str:
    """The name of the first format that a source is recognised as.

    Raises:
        SceneError: there is no such source, or it is none of them.
    """
    if not source.exists():
        raise SceneError(f"{source}: there is no such file or folder")
    for name, (recognises, _) in FORMATS.items():
        if recognises(source):
            return name
    raise SceneError(f"{source}: no format is recognised ({', '.join(FORMATS)}); name it with --format")


def read_source(source: Path, format: str | None = None, images: Path | None = None, **reading) -> Source:
    """Read a source in one of ``FORMATS``; None: the one that is recognised.

    Raises:
        SceneError: as ``detect_format`` and the readers do.
    """
    name = format or detect_format(source)
    if not source.exists():
        raise SceneError(f"{source}: there is no such file or folder")
    return FORMATS[name][1](source, images, **reading)
