"""What a run is to hold: `p99=100ms,errors=0`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

_UNITS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_TIMES: Final = ("p50", "p90", "p99", "p999", "max")
_COUNTS: Final = ("errors", "violations")
_NAMES: Final = (*_TIMES, *(f"fanout_{name}" for name in _TIMES), *_COUNTS)


@dataclass(frozen=True)
class Objective:
    """`name` is to be at most `limit`: milliseconds, or a count."""

    name: str
    limit: float

    @property
    def is_time(self) -> bool:
        """Milliseconds, and not a count."""
        return self.name not in _COUNTS

    def is_held(self, value: float | None) -> bool:
        """`value` None: nothing was measured, so nothing was held."""
        return value is not None and value <= self.limit

    def __str__(self) -> str:
        return f"{self.name}={self.limit:g}" + ("" if self.name in _COUNTS else "ms")


def parse_objectives(text: str) -> tuple[Objective, ...]:
    """From the command line's words. Raises ValueError that says what is wrong.

    Times are p50, p90, p99, p999 (also p99.9) and max, of answers; with `fanout_` in front, of what others are told. A time has a
    unit: us, ms or s. `errors` and `violations` are counts, and 0 unless something else is said.
    """
    found = {name: Objective(name, 0) for name in _COUNTS}
    for part in filter(None, text.replace(" ", "").split(",")):
        name, equals, value = part.partition("=")
        name = name.replace("p99.9", "p999")
        if name not in _NAMES or not equals:
            raise ValueError(f"{part!r} is no objective: NAME=LIMIT with a name of {', '.join(_NAMES)}")
        matched = re.fullmatch(r"([0-9.]+)(us|ms|s)?", value)
        try:
            limit = float(matched[1]) if matched else math.nan
        except ValueError:
            limit = math.nan
        unit = matched[2] if matched else None
        if math.isnan(limit) or (unit is None) != (name in _COUNTS):
            raise ValueError(f"{part!r}: {value!r} is no " + ("count" if name in _COUNTS else "time with a unit, such as 100ms"))
        found[name] = Objective(name, limit * _UNITS[unit] if unit else limit)
    return tuple(found.values())
