"""``import_bundles``: maps of other programs, as bundles of a scene's views."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from nsr.errors import PriorError
from nsr.priors.bundle_file import BundleHeader, StoredBundle, check_bundle, read_bundle, write_bundle
from nsr.priors.conversion import ViewFrame, to_engine
from nsr.priors.importing.formats import Reader
from nsr.priors.loading import check_view
from nsr.priors.pictures import write_bundle_picture
from nsr.scenes.idr_folder import view_names
from nsr.scenes.scene import Scene


def import_bundles(scene: Scene, reader: Reader, output: str | Path) -> tuple[list[str], list[str]]:
    """Write a bundle, and a picture, for every view that ``reader`` has something of.

    A bundle that is there already gets the new maps beside its own, and in place of those of the same kind.  All are
    checked against their views before any is written.

    Args:
        scene: with its folder; held-out views get bundles too, which training does not look at.
        output: folder of the bundles.

    Returns:
        names of the views with a bundle now, and of those that ``reader`` has nothing of.

    Raises:
        PriorError: a file cannot be read, or its maps cannot be of its view; nothing is written then.
    """
    if scene.folder is None:
        raise PriorError(f"{scene.name}: priors are found by the names of a scene's images, and it has no folder")
    names = view_names(scene.folder)
    written = reader.views(names)
    for _ in _checked(scene, reader, names, written, Path(output)):
        pass
    for view, frame, stored in _checked(scene, reader, names, written, Path(output)):
        write_bundle(output, stored)
        write_bundle_picture(output, to_engine(stored, frame, names[view]), frame)
    return written, [name for name in names if name not in written]


def _checked(
    scene: Scene, reader: Reader, names: list[str], written: list[str], output: Path
) -> Iterator[tuple[int, ViewFrame, StoredBundle]]:
    """Index, frame and bundle of each view, read and checked one at a time: many do not fit into memory together."""
    for name in written:
        view = names.index(name)
        maps = reader.read(name)
        height, width = next(iter(maps.arrays.values())).shape[:2]
        header = BundleHeader(
            scene.name, name, width, height, **maps.conventions, intrinsics=maps.intrinsics, source=reader.source
        )
        stored = StoredBundle(header, maps.arrays)
        source = f"{scene.name}, view {name}"
        check_bundle(stored, source)
        path = output / f"{name}.npz"
        if path.exists():
            stored = merged(read_bundle(path), stored, path)
        frame = ViewFrame.of_scene(scene, view)
        check_view(to_engine(stored, frame, source), frame, scene.masks[view].cpu().numpy(), source)
        yield view, frame, stored


def merged(old: StoredBundle, new: StoredBundle, path: Path) -> StoredBundle:
    """The maps of two bundles of one view; those of ``new`` win.

    Raises:
        PriorError: they are of different views, sizes or intrinsics.
    """
    for part in ("scene", "view", "width", "height", "intrinsics"):
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
