"""Ctrl-C that waits for the step to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted:
    """True once Ctrl-C was pressed."""

    def __init__(self) -> None:
        self.pressed = False

    def __bool__(self) -> bool:
        return self.pressed


@contextlib.contextmanager
def delayed_interrupt() -> Iterator[Interrupted]:
    """Within the block the first Ctrl-C only sets the flag that is yielded; a second one interrupts at once.

    Outside the main thread, where signals cannot be handled, nothing changes.
    """
    flag = Interrupted()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(number, frame):
        if flag.pressed:
            raise KeyboardInterrupt
        flag.pressed = True

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
