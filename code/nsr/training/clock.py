"""How far a run is: by steps, or by the clock."""

from __future__ import annotations

import math
import sys
import time

import nsr
from nsr.config.schema import TrainConfig
from nsr.errors import ConfigError, NsrError


class Clock:
    """Progress in [0, 1] of a run that ends after so many steps or, with ``train.minutes``, so much time.

    Time is counted from the start of the process, so that reading the scene and carving the hull are part of it; a
    continued run adds what was spent before.  Progress begins with the training: a run that began with its schedules
    well under way would miss the coarse part, in which hollows are carved.

    Args:
        config: the length.
    """

    def __init__(self, config: TrainConfig):
        if config.minutes <= 0 and config.steps < 1:
            raise ConfigError(f"train.steps is {config.steps}; it must be at least 1 (or give train.minutes)")
        self.steps = config.steps
        self.seconds = config.minutes * 60
        self.step = 0
        self.spent_before = 0.0
        self.prepared = 0.0  # seconds before the first step

    def start(self) -> None:
        """The training begins; the last call before the first step counts, and a continued run began before.

        Raises:
            NsrError: getting ready took all the time that there was.
        """
        if self.step == 0:
            self.prepared = self.elapsed
            if self.finished:
                raise NsrError(
                    f"getting ready took {self.elapsed:.0f} s, longer than the run was to be; give --minutes more"
                )

    @property
    def elapsed(self) -> float:
        """Seconds of this run, those before a resume included."""
        return self.spent_before + time.monotonic() - nsr.STARTED

    @property
    def progress(self) -> float:
        if not self.seconds:
            return min(self.step / self.steps, 1.0)
        length = self.seconds - self.prepared
        return min((self.elapsed - self.prepared) / length, 1.0) if length > 0 else 1.0

    @property
    def finished(self) -> bool:
        return self.progress >= 1


def peak_memory_mb() -> float:
    """Largest resident set of this process so far, in megabytes; NaN where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return math.nan
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024
