"""Which reader a source wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nsr.errors import SceneError
from nsr.scenes.importing.board import read_board
from nsr.scenes.importing.colmap import find_model, read_colmap
from nsr.scenes.importing.files import list_photographs
from nsr.scenes.importing.llff import FILE as LLFF_FILE
from nsr.scenes.importing.llff import read_llff
from nsr.scenes.importing.metashape import find_xml, read_metashape
from nsr.scenes.importing.middlebury import find_par, read_middlebury
from nsr.scenes.importing.photographs import read_photographs
from nsr.scenes.importing.polycam import find_keyframes, read_polycam
from nsr.scenes.importing.record3d import find_metadata, read_record3d
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
    "colmap": (lambda source: find_model(source) is not None, read_colmap),
    "llff": (lambda source: _has(LLFF_FILE)(source) or source.name == LLFF_FILE, read_llff),
    "middlebury": (lambda source: find_par(source) is not None, read_middlebury),
    "polycam": (lambda source: find_keyframes(source) is not None, read_polycam),
    "record3d": (lambda source: find_metadata(source) is not None, read_record3d),
    "metashape": (lambda source: find_xml(source) is not None, read_metashape),
    "board": (lambda source: False, read_board),  # only by name: a photograph does not tell that a board was meant
    "photographs": (
        lambda source: any(map(list_photographs, (source, source / "images", source / "image"))),
        read_photographs,
    ),
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
