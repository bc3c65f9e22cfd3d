"""``import_bundles``: maps of other programs, as bundles of a scene's views."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nsr.atomic import whole_folder
from nsr.errors import PriorError
from nsr.priors.bundle_file import StoredBundle, check_bundle, read_bundle, write_bundle
from nsr.priors.conversion import ViewFrame, to_engine
from nsr.priors.identity import same_origin, view_header
from nsr.priors.importing.formats import Reader
from nsr.priors.loading import check_view
from nsr.priors.pictures import write_bundle_picture
from nsr.scenes.idr_folder import view_names
from nsr.scenes.scene import Scene


def import_bundles(scene: Scene, reader: Reader, output: str | Path) -> tuple[list[str], list[str]]:
    """Write a bundle, and a picture, for every view that ``reader`` has something of.

    A bundle that is there already gets the new maps beside its own, and in place of those of the same kind.  All
    appear together, when each has been checked against its view.

    Args:
        scene: with its folder; held-out views get bundles too, which training does not look at.
        output: folder of the bundles.

    Returns:
        names of the views with a bundle now, and of those that ``reader`` has nothing of.

    Raises:
        PriorError: a file cannot be read, its maps cannot be of its view, or the disk refuses; nothing is written then.
    """
    if scene.folder is None:
        raise PriorError(f"{scene.name}: priors are found by the names of a scene's images, and it has no folder")
    names = view_names(scene.folder)
    written = reader.views(names)
    try:
        with whole_folder(output, replace=True) as partial:
            for name in written:
                _import_view(scene, reader, names.index(name), name, Path(output), partial)
    except OSError as error:
        raise PriorError(f"{output}: the bundles cannot be written ({error.strerror or error})") from error
    return written, [name for name in names if name not in written]


def _import_view(scene: Scene, reader: Reader, view: int, name: str, output: Path, partial: Path) -> None:
    """Read and check what there is of one view, and write it into ``partial``, with what ``output`` has of it."""
    maps = reader.read(name)
    size = next(iter(maps.arrays.values())).shape[:2]
    header = dataclasses.replace(
        view_header(scene, view, name, size), **maps.conventions, intrinsics=maps.intrinsics, source=reader.source
    )
    stored = StoredBundle(header, maps.arrays)
    source = f"{scene.name}, view {name}"
    check_bundle(stored, source)
    path = output / f"{name}.npz"
    if path.exists():
        stored = merged(read_bundle(path), stored, path)
    frame = ViewFrame.of_scene(scene, view)
    bundle = to_engine(stored, frame, source)
    check_view(bundle, frame, scene.masks[view].cpu().numpy(), source)
    write_bundle(partial, stored)
    write_bundle_picture(partial, bundle, frame)


def merged(old: StoredBundle, new: StoredBundle, path: Path) -> StoredBundle:
    """The maps of two bundles of one view; those of ``new`` win.

    Raises:
        PriorError: they are of different pictures, sizes or intrinsics.
    """
    if not same_origin(old.header, new.header):
        raise PriorError(
            f"{path}: the bundle that is there was made for another picture (view {old.header.view} of the scene "
            f"{old.header.scene}); take it away, or import into another folder"
        )
    for part in ("width", "height", "intrinsics"):
        theirs, ours = getattr(old.header, part), getattr(new.header, part)
        if theirs != ours:
            raise PriorError(
                f"{path}: the bundle that is there has {part} {theirs}, the new one {ours}; import into another folder"
            )
    replaced = {name for name in new.arrays if not name.endswith("_confidence")}
    kept = {name: v for name, v in old.arrays.items() if name.removesuffix("_confidence") not in replaced}
    conventions = {
        name: getattr(new.header, name) or getattr(old.header, name)
        for name in ("depth", "normal", "albedo", "shading", "sh")
    }
    sources = dict.fromkeys((*old.header.source.split(" and "), new.header.source))
    header = dataclasses.replace(new.header, **conventions, source=" and ".join(filter(None, sources)))
    return StoredBundle(header, {**kept, **new.arrays})
