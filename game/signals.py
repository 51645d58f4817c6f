"""What a program does when it is asked to stop: Ctrl-C, SIGTERM, and Ctrl-Break on Windows."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended in the middle, as shells have it."""


@contextmanager
def calling_on_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Within this they call `stop()`, each time. On the main thread."""

    def asked(number: int, frame: FrameType | None) -> None:
        stop()

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {number: signal.signal(number, asked) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
