"""Pictures of a run while it goes on."""

from __future__ import annotations

from pathlib import Path


def draw_plots(run_folder: Path, trainer) -> None:
    """Draw the current state into ``run_folder/plots``."""
