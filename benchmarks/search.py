"""The search for the most players that a server holds: grow, bisect, see both ends of the interval twice.

A server's limit is no sharp line, and the machine may be disturbed. So the lower end counts only if a longer hold confirms it, and
the upper end only if it fails a second time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_FLOOR = 10
"""Players; fewer are no search's matter."""


class Outcome(Protocol):
    """What the search needs to know of a trial. `server_cpu`: the share of one processor that the server used."""

    held: bool
    generator_at_fault: bool
    server_cpu: float | None


@dataclass
class Found:
    """The answer: `held` players were held (0: not even the fewest tried), `missed` were not (None: the ceiling was held)."""

    held: int = 0
    missed: int | None = None
    confirmed: bool = False
    """Whether a longer hold confirmed `held`."""
    limited_by: str = ""
    """What else than the server ended the search; empty if nothing."""


@dataclass(frozen=True)
class Plan:
    """How to search. `start`: the first number; `ceiling`: no more than so many, and why.

    resolution: the part of the number to which the two ends come together. steepness: how the server's processor time grows with the
    number of players: 1 if each costs the same, 2 if each costs in proportion to all others.
    """

    start: int
    ceiling: int
    ceiling_because: str
    resolution: float = 0.03
    steepness: float = 1.0


class Search:
    """`attempt(players, confirming)` makes a trial. `time_left()` False: no more bisecting, confirm what there is, or less."""

    def __init__(self, plan: Plan, attempt: Callable[[int, bool], Outcome], time_left: Callable[[], bool]) -> None:
        self.plan = plan
        self.found = Found()
        """The answer so far, also when `run` is interrupted."""
        self._attempt = attempt
        self._time_left = time_left
        self._held: dict[int, Outcome] = {}
        self._missed: dict[int, Outcome] = {}

    def run(self) -> Found:
        """Search; the answer."""
        found = self.found
        looked_twice = False
        while self._come_near():
            again = found.missed
            if again is not None and not looked_twice and self._time_left():
                del self._missed[again]
                if self._try(again):
                    continue
            # What fails a longer hold, or fails again, has been seen often enough.
            looked_twice = True
            found.confirmed = self._try(found.held, confirming=True)
            if found.confirmed:
                break
        return found

    def _try(self, players: int, *, confirming: bool = False) -> bool:
        outcome = self._attempt(players, confirming)
        if outcome.held:
            self._held[players] = outcome
        else:
            self._held.pop(players, None)
            self._missed[players] = outcome
        found = self.found
        found.held = max(self._held, default=0)
        found.missed = min(self._missed, default=None)
        found.limited_by = ""
        if found.missed is None:
            found.limited_by = self.plan.ceiling_because if found.held >= self.plan.ceiling else ""
        elif self._missed[found.missed].generator_at_fault:
            found.limited_by = "the load generator"
        return outcome.held

    def _come_near(self) -> bool:
        """Bring the two ends together; whether any number was held."""
        if not self._held and not self._missed:
            self._try(min(self.plan.start, self.plan.ceiling))
        while not self._is_near():
            if self._held and not self._time_left():
                break
            players = self._next()
            if players < _FLOOR:
                return False
            self._try(players)
        return True

    def _is_near(self) -> bool:
        held, missed = self.found.held, self.found.missed
        if missed is None:
            return held >= self.plan.ceiling
        return held > 0 and missed <= max(held + 1, math.ceil(held * (1 + self.plan.resolution)))

    def _next(self) -> int:
        held, missed, plan = self.found.held, self.found.missed, self.plan
        if missed is None:
            # As many as the processor seems to have room for, neither timid nor wild.
            used = self._held[held].server_cpu or 0.5
            factor: float = min(2.0, max(1 + 2 * plan.resolution, (0.95 / used) ** (1 / plan.steepness)))
            return min(plan.ceiling, max(held + 1, int(held * factor)))
        if not held:
            return int(missed * 0.75)
        return min(missed - 1, max(held + 1, math.isqrt(held * missed)))
