"""The search for the most players that hold the objectives: which number to try next. Decides only; `run.py` measures.

Up in growing steps until a step fails, then by halves between the highest that held and the lowest that failed, until these are close
together. Then the highest is confirmed with longer holds, the second one from a fresh set of connections; then the lowest that failed is
tried once more, so that one hiccup of the machine is not taken for the server's limit. What is measured last about a number
is what counts: a confirmation that fails sends the search on below it, a failure that is not repeated sends it on above.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Literal

Judgement = Literal["held", "failed", "invalid"]
"""invalid: the generator was too late, which says nothing about the server."""

_GROWTH: Final = 1.5
_MOST_STEPS: Final = 60
"""The end for servers that hold at random."""


@dataclass(frozen=True)
class Step:
    """One thing to try. `fresh`: with new connections, after all players have left."""

    clients: int
    kind: Literal["probe", "confirm"]
    fresh: bool = False


class Search:
    """From `start` players, never over `limit`, until the interval is within `precision` (a share), `confirmations` for each end."""

    def __init__(self, start: int, limit: int, precision: float = 0.03, confirmations: int = 2) -> None:
        self._start = min(start, limit)
        self._limit = limit
        self._precision = precision
        self._confirmations = confirmations
        self._found: defaultdict[int, list[tuple[Step, Judgement]]] = defaultdict(list)
        self.steps: list[tuple[Step, Judgement]] = []
        """All that was tried, in order."""

    def next(self) -> Step | None:
        """What to try now; None: the search is over."""
        low, high, ceiling = self.held, self.failed, self.invalid_from
        if len(self.steps) >= _MOST_STEPS:
            return None
        if not self.steps:
            return Step(self._start, "probe")
        if ceiling is None:
            if low is None:
                # Nothing has held yet: all that was tried failed.
                return Step(high // 2, "probe") if high is not None and high > 1 else None
            if high is None and low < self._limit:
                return Step(min(self._limit, max(low + 1, math.ceil(low * _GROWTH))), "probe")
            if high is not None and high - low > max(1, self._precision * low):
                return Step((low + high) // 2, "probe")
        if low is None:
            return None
        confirmed = self.times(low, "held", "confirm")
        if confirmed < self._confirmations and low != ceiling:
            return Step(low, "confirm", fresh=confirmed > 0)
        if high is not None and ceiling is None and self.times(high, "failed") < 2:
            return Step(high, "confirm", fresh=True)
        return None

    def record(self, step: Step, judgement: Judgement) -> None:
        """What came of a step."""
        self.steps.append((step, judgement))
        self._found[step.clients].append((step, judgement))

    def times(self, clients: int, judgement: Judgement, kind: Literal["probe", "confirm"] | None = None) -> int:
        """How often that number came to that, since it last came to the opposite."""
        count = 0
        for step, found in reversed(self._found[clients]):
            if found not in (judgement, "invalid"):
                break
            count += found == judgement and kind in (None, step.kind)
        return count

    @property
    def held(self) -> int | None:
        """The highest number that held, below all that failed; None: none did."""
        failed = self.failed
        return max((clients for clients in self._last("held") if failed is None or clients < failed), default=None)

    @property
    def failed(self) -> int | None:
        """The lowest number that failed; None: none did."""
        return min(self._last("failed"), default=None)

    @property
    def invalid_from(self) -> int | None:
        """The lowest number at which the generator was too late, and nothing below was asked for after that."""
        return min((step.clients for step, judgement in self.steps if judgement == "invalid"), default=None)

    def _last(self, wanted: Judgement) -> list[int]:
        """The numbers whose last valid measurement came to that."""
        valid = {
            clients: [judgement for _, judgement in found if judgement != "invalid"] for clients, found in self._found.items()
        }
        return [clients for clients, judgements in valid.items() if judgements and judgements[-1] == wanted]
