"""What a person sets in the viewer."""

from __future__ import annotations

MESH_STYLES = {"mesh": "colour", "mesh: normals": "normals", "mesh: plain": "plain"}
RENDER_MODES = {
    "render": "colour",
    "render: normals": "normals",
    "render: depth": "depth",
    "render: shaded": "shaded",
}
_SIZES = {"min": 128, "max": 1024, "step": 64, "initial_value": 448}


class Panel:
    """The viewer's controls; the attributes are viser's handles, whose ``value`` is what is set now.

    Args:
        server: a ``viser.ViserServer``.
        title: of the panel.
        levels: of the encoding; 1 leaves the slider of levels fixed.
    """

    def __init__(self, server, title: str, levels: int):
        gui = server.gui
        gui.set_panel_label(title)
        self.status = gui.add_markdown("")
        self.show = gui.add_dropdown(
            "Show",
            [*MESH_STYLES, *RENDER_MODES],
            initial_value="mesh",
            hint="the surface as triangles, or traced anew from where you stand",
        )
        self.levels = gui.add_slider(
            "Levels",
            min=1,
            max=max(levels, 2),
            step=1,
            initial_value=max(levels, 2),
            disabled=levels == 1,
            hint="of the encoding that are open, coarse to fine; at the right end, as many as the training opened",
        )
        self.pixels = gui.add_slider("Pixels", **_SIZES, hint="of the longer side of traced pictures")
        self.cameras = gui.add_checkbox("Cameras", True, hint="click one to stand where it stood")
        self.photographs = gui.add_checkbox("Photographs", True, hint="of the training views")

    def progress(self, levels: int) -> float:
        """What the slider of levels asks ``Encoding.set_progress`` for."""
        return (self.levels.value - 1) / (levels - 1) if levels > 1 else 1.0
