"""A limit on log lines: whoever makes a server log for each of a thousand bad connections a second shall not fill its disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class LogLimit(logging.Filter):
    """Lets `per_second` lines of one kind through in each second; the next one tells how many were left out.

    Of one kind are lines of the same level and text before its arguments: what is said once, such as that the database is away, is
    not lost among what strangers make it say. Errors always pass. Add it to a logger; safe on any thread, where a race may count a line
    too few.
    """

    def __init__(self, per_second: int = 20, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._per_second = per_second
        self._clock = clock
        self._second = -1
        self._passed: dict[tuple[int, str], int] = {}
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it."""
        if record.levelno >= logging.ERROR:
            return True
        kind = (record.levelno, record.msg)
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._passed.clear()
            if self._left_out:
                record.msg = f"{record.getMessage()} (and {self._left_out:,} more lines left out before)"
                record.args = ()
                self._left_out = 0
        passed = self._passed.get(kind, 0)
        self._passed[kind] = passed + 1
        if passed >= self._per_second:
            self._left_out += 1
            return False
        return True
