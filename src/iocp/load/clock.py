"""A clock fine enough to send by."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fine_clock() -> Iterator[None]:
    """Let waits end to the millisecond while the block runs: on Windows they would else end with the next of 64 ticks a second."""
    if sys.platform != "win32":
        yield
        return
    import ctypes

    winmm = ctypes.WinDLL("winmm")
    winmm.timeBeginPeriod(1)
    try:
        yield
    finally:
        winmm.timeEndPeriod(1)
