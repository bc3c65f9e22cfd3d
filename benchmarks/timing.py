"""What the benchmarks share: times of works that take turns or of methods, and where they were taken."""

from __future__ import annotations

import datetime
import platform
import time
from collections import defaultdict
from collections.abc import Callable

import torch


class Stopwatch:
    """Collects how long calls of methods take."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)

    def watch(self, owner, method: str, part: str) -> None:
        original = getattr(owner, method)

        def timed(*arguments, **named):
            started = time.perf_counter()
            result = original(*arguments, **named)
            self.seconds[part].append(time.perf_counter() - started)
            return result

        setattr(owner, method, timed)


def least_times(works: dict[str, Callable[[], object]], device: torch.device, seconds: float) -> dict[str, float]:
    """Milliseconds of the fastest run of each work; they take turns for a time each (at least three turns)."""

    def once(work: Callable[[], object]) -> float:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    for work in works.values():
        once(work)
    end, times = time.perf_counter() + seconds * len(works), {name: [] for name in works}
    turns = 0
    while turns < 3 or time.perf_counter() < end:
        for name, work in works.items():
            times[name].append(once(work))
        turns += 1
    return {name: 1e3 * min(measured) for name, measured in times.items()}


def describe(device: torch.device) -> str:
    """Date, machine and versions, in one line."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return (
        f"{datetime.date.today()}, {name}, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )
