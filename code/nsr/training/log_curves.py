"""The curves of a run, from its TensorBoard log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsr.training.run_folder import LOG_FOLDER


@dataclass
class Curve:
    """One scalar over a run: ``steps``, ``seconds`` since the log's first entry, and ``values``, each ``[N]``."""

    steps: np.ndarray
    seconds: np.ndarray
    values: np.ndarray

    def thinned(self, most: int) -> Curve:
        """Means over as many neighbours as leave at most ``most`` points; the curve itself where it has no more."""
        group = -(-len(self.steps) // most)
        if group <= 1:
            return self
        starts = np.arange(0, len(self.steps), group)
        sizes = np.diff(np.append(starts, len(self.steps)))
        return Curve(*(np.add.reduceat(column, starts) / sizes for column in (self.steps, self.seconds, self.values)))


def read_curves(run_folder: str | Path) -> dict[str, Curve]:
    """Every scalar of a run's log by its tag, sorted by tag; none where there is no log.

    What was written before a crash is read: a cut last entry is left out.
    """
    logs = Path(run_folder) / LOG_FOLDER
    if not logs.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs), size_guidance={"scalars": 0})
    events.Reload()
    found = {tag: events.Scalars(tag) for tag in sorted(events.Tags()["scalars"])}
    start = min((entries[0].wall_time for entries in found.values() if entries), default=0.0)
    return {
        tag: Curve(
            np.array([entry.step for entry in entries], dtype=np.float64),
            np.array([entry.wall_time - start for entry in entries]),
            np.array([entry.value for entry in entries], dtype=np.float64),
        )
        for tag, entries in found.items()
    }
