"""How far a training is, and the rates that follow from it."""

from __future__ import annotations

import time
from itertools import accumulate

from nsr.errors import NsrError
from nsr.priors.networks.common.task import Stage
from nsr.schedules import cosine, milestones, ramp

STEP_MILESTONES, STEP_FACTOR = (0.5, 0.75, 0.9), 0.1
COSINE_FLOOR = 0.01


class Progress:
    """Progress of a run in [0, 1]: by steps, or by the clock where that is further.

    Args:
        steps: of the whole run.
        seconds: that bound it; 0 for no bound.
        stages: of the task.
    """

    def __init__(self, steps: int, seconds: float, stages: list[Stage]):
        self.steps, self.seconds, self.stages = steps, seconds, stages
        self.step = 0
        self.start()
        self.ends = list(accumulate(stage.share for stage in stages))
        if abs(self.ends[-1] - 1) > 1e-6:
            raise NsrError(f"the shares of the stages add up to {self.ends[-1]:g}, not to 1")

    def start(self, spent: float = 0.0) -> None:
        """Count time from now on, after so many seconds of a run that is continued."""
        self.started = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds of training so far, those before a continuation included."""
        return time.monotonic() - self.started

    @property
    def value(self) -> float:
        by_clock = self.spent / self.seconds if self.seconds > 0 else 0.0
        return min(max(self.step / self.steps, by_clock), 1.0)

    @property
    def finished(self) -> bool:
        return self.value >= 1

    def stage(self) -> int:
        """Index of the present stage."""
        value = self.value
        return next((index for index, end in enumerate(self.ends) if value < end - 1e-9), len(self.ends) - 1)

    def within_stage(self) -> float:
        """Progress in [0, 1] of the present stage."""
        index = self.stage()
        start = self.ends[index] - self.stages[index].share
        return min(max((self.value - start) / max(self.stages[index].share, 1e-9), 0.0), 1.0)


def rate_factor(progress: float, schedule: str, warmup: float) -> float:
    """What the learning rate is multiplied by; never 0.

    Args:
        progress: in [0, 1].
        schedule: ``cosine`` (from 1 to .01) or ``step`` (a tenth after each of .5, .75 and .9).
        warmup: part of the progress over which the rate rises linearly from a hundredth.
    """
    factor = (
        cosine(progress, COSINE_FLOOR) if schedule == "cosine" else milestones(progress, STEP_MILESTONES, STEP_FACTOR)
    )
    return factor * max(ramp(progress, warmup), 0.01)
