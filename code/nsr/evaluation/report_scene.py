"""What went into a run, for its report: the scene's check and its pictures with masks."""

from __future__ import annotations

import html

import numpy as np

from nsr.scenes.check import check_loaded
from nsr.scenes.check_page import findings_list, view_figure
from nsr.scenes.scene import Scene

MOST_PICTURES = 24


def scene_section(scene: Scene) -> str:
    """HTML: what the check finds in the scene, and small pictures, evenly chosen where there are more than 24."""
    report = check_loaded(scene)
    shown = np.unique(np.linspace(0, len(scene) - 1, min(MOST_PICTURES, len(scene))).round().astype(int)).tolist()
    held = set(scene.heldout_views)
    pictures = "".join(
        view_figure(scene, view, f"view {view}{', held out' if view in held else ''}") for view in shown
    )
    findings = findings_list(report) or "<p>The check finds nothing wrong with the scene.</p>"
    size = ", ".join(sorted({f"{mask.shape[1]} × {mask.shape[0]}" for mask in scene.masks}))
    facts = (
        f"{html.escape(str(scene.folder or scene.name))}: {len(scene)} views of {size} pixels, "
        f"{len(scene.train_views)} for training; one unit of the normalised frame is {scene.scale:.4g} world units."
    )
    choice = f" {len(shown)} of {len(scene)} views." if len(shown) < len(scene) else ""
    return (
        f'<p>{facts}</p>{findings}<p class="soft">Red: the mask. Blue: the unit sphere.{choice}</p>'
        f'<div class="thumbnails">{pictures}</div>'
    )
