"""How far something long is: a line on standard error, on a terminal only."""

from __future__ import annotations

import sys
import time


class Progress:
    """Call it with what is being done and the part done, from 0 to 1; at 1 the line is gone."""

    def __init__(self) -> None:
        self._shown = 0.0
        self._width = 0
        self._live = sys.stderr is not None and sys.stderr.isatty()

    def __call__(self, what: str, done: float) -> None:
        now = time.monotonic()
        if self._live and (done >= 1 or now - self._shown > 0.1):
            self._shown = now
            text = "" if done >= 1 else f"{what}: {done:.0%}"
            # Blanks over what stood there: not every console of Windows knows the sequence that clears a line.
            print("\r" + text.ljust(self._width), end="" if text else "\r", file=sys.stderr, flush=True)
            self._width = len(text)
