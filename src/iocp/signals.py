"""What a program does when it is asked to stop: Ctrl-C, SIGTERM, and Ctrl-Break on Windows."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended in the middle, as shells have it."""


@contextmanager
def calling_on_signals(stop: Callable[[], object], *, once: bool = False) -> Iterator[None]:
    """Within this they call `stop()`, each time. On the main thread.

    once: only the first does; those that come after it are handled as before, so that a second one can end the program.
    """
    before: dict[int, Callable[..., Any] | int | None] = {}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def asked(number: int, frame: object) -> None:
        if once:
            put_back()
        stop()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            number = getattr(signal, name)
            before[number] = signal.signal(number, asked)
    try:
        yield
    finally:
        put_back()
