"""What a program does when it is asked to stop: Ctrl-C, SIGTERM, and Ctrl-Break on Windows."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, Final

INTERRUPTED: Final = 130
"""Exit code of a command that Ctrl-C ended in the middle, as shells have it."""


class SignalFlag:
    """What a signal handler may set, also one that interrupts the thread that waits for it, or another handler.

    A `threading.Event` may not be used so: waiting and setting take the same lock, which the interrupted thread would hold for ever.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._arrivals: SimpleQueue[None] = SimpleQueue()  # its put() is reentrant

    def set(self) -> None:
        self._is_set = True
        self._arrivals.put(None)

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Whether it was set within so many seconds. For one thread."""
        if not self._is_set:
            try:
                self._arrivals.get(timeout=timeout)
            except Empty:
                pass
        return self._is_set


@contextmanager
def interrupting_on_terminate() -> Iterator[None]:
    """Within this SIGTERM (Ctrl-Break on Windows) raises KeyboardInterrupt, as Ctrl-C does, instead of ending the program where it is.

    On the main thread. Around `calling_on_signals(once=True)` it makes a second SIGTERM what a second Ctrl-C is.
    """
    names = [name for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), signal.default_int_handler) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


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
