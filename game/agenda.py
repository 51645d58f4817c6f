"""What the world has to do later: calls by the tick at which they are due.

One timer of the port drives it (`server.py`), not one for each monster: a tick makes all calls that are due in one go.
Not thread-safe. Deterministic: calls of one tick are made in the order in which they were noted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

TICK: Final = 0.025
"""Seconds between two ticks."""
MOST_CALLS: Final = 1_500
"""Calls made in one tick, about 10 ms of monsters' steps: what is more waits for the next, in order."""

Call: TypeAlias = "tuple[Callable[[Any], object], Any]"


def ticks(seconds: float) -> int:
    """How many ticks these seconds are, at least one."""
    return max(1, round(seconds / TICK))


class Agenda:
    """Calls to come."""

    def __init__(self) -> None:
        self.tick = 0
        """The tick that is, or was last, worked on."""
        self._due: dict[int, list[Call]] = {}
        self._late: deque[Call] = deque()

    def __bool__(self) -> bool:
        """Whether anything is to be done, now or later."""
        return bool(self._due or self._late)

    @property
    def late(self) -> int:
        """Calls that were due and had to wait."""
        return len(self._late)

    def after(self, ticks: int, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` that many ticks from now, one at least."""
        tick = self.tick + ticks
        calls = self._due.get(tick)
        if calls is None:
            self._due[tick] = [(function, argument)]
        else:
            calls.append((function, argument))

    def run(self, tick: int) -> None:
        """Make the calls due up to `tick`."""
        late = self._late
        while self.tick < tick:
            self.tick += 1
            calls = self._due.pop(self.tick, None)
            if calls is not None:
                late.extend(calls)
            elif not self._due:
                self.tick = tick
        for _ in range(min(len(late), MOST_CALLS)):
            function, argument = late.popleft()
            function(argument)
