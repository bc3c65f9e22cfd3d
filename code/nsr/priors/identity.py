"""Whose bundle is it: told by the view's picture, so that a scene may be renamed, copied or given other cameras."""

from __future__ import annotations

import cv2
import numpy as np

from nsr.errors import PriorError
from nsr.priors.bundle_file import FINGERPRINT_SIDE, BundleHeader
from nsr.scenes.scene import Scene

_ALIKE = 12  # of 255: by which a picture that was resized, compressed or cut to 8 bits may differ in a cell


def picture_fingerprint(image: np.ndarray) -> str:
    """Means of a picture ``[H, W, 3]`` uint8 over 8 x 8 cells, as hexadecimal text."""
    return cv2.resize(image, (FINGERPRINT_SIDE, FINGERPRINT_SIDE), interpolation=cv2.INTER_AREA).tobytes().hex()


def view_header(scene: Scene, view: int, name: str, size: tuple[int, int]) -> BundleHeader:
    """A header of the scene's view with this index and name, for maps of ``size`` (height, width), without
    conventions yet."""
    fingerprint = picture_fingerprint(scene.images[view].cpu().numpy())
    return BundleHeader(scene.name, name, size[1], size[0], picture=fingerprint)


def check_identity(header: BundleHeader, scene: Scene, view: int, name: str, source: str) -> None:
    """Whether a bundle was made for the scene's view with this index and name.

    Raises:
        PriorError: it is of another view or picture; or, where it does not know its picture, of a scene of another
            name.  One line that begins with ``source``.
    """
    if header.view != name:
        raise PriorError(f"{source}: the bundle is of view {header.view} of the scene {header.scene}, not of {name}")
    if header.picture is None:
        if header.scene != scene.name:
            raise PriorError(
                f"{source}: the bundle is of the scene {header.scene} by its header, not of {scene.name}, and has no "
                "header.picture by which a renamed scene would be known; make it again, or put its header right"
            )
        return
    difference = picture_difference(header.picture, view_header(scene, view, name, (1, 1)).picture)
    if difference > _ALIKE:
        raise PriorError(
            f"{source}: the bundle was made for another picture than that of view {name} (they differ by up to "
            f"{difference} of 255): it is of another scene ({header.scene}), or the pictures have changed; import or "
            "export it again"
        )


def same_origin(first: BundleHeader, second: BundleHeader) -> bool:
    """Whether two bundles are of the same picture, as far as they know."""
    if first.picture is None or second.picture is None:
        return (first.scene, first.view) == (second.scene, second.view)
    return first.view == second.view and picture_difference(first.picture, second.picture) <= _ALIKE


def picture_difference(first: str, second: str) -> int:
    """The largest difference of two fingerprints in any cell and channel."""
    cells = (np.frombuffer(bytes.fromhex(text), np.uint8).astype(int) for text in (first, second))
    return int(np.abs(np.subtract(*cells)).max())
