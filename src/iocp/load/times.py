"""Measured times: counts by microseconds, in HdrHistogram's buckets, that can be added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

# What the native histogram is made for: one microsecond to one hour, three significant digits.
_LEAST, _MOST, _DIGITS = 1, 3_600_000_000, 3
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


@dataclass
class Times:
    """Times in microseconds with their counts; `largest` is exact."""

    counts: Counter[int] = field(default_factory=Counter)
    largest: int = 0

    @classmethod
    def of(cls, read: dict[str, Any]) -> Times:
        """From what the native histogram was read as."""
        return cls(Counter(dict(read["pairs"])), read["largest"])

    def __add__(self, other: Times) -> Times:
        # Copied and updated, not added: what is added up is long, and what is added to it short.
        counts = self.counts.copy()
        counts.update(other.counts)
        return Times(counts, max(self.largest, other.largest))

    @property
    def total(self) -> int:
        """How many were measured."""
        return self.counts.total()

    def histogram(self) -> Any:
        """The same as an `HdrHistogram` of the library, to encode it or to merge it with others."""
        histogram = HdrHistogram(_LEAST, _MOST, _DIGITS)
        for value, count in self.counts.items():
            histogram.record_value(value, count)
        return histogram

    def milliseconds(self) -> dict[str, float | None]:
        """p50, p90, p99, p999 and max in milliseconds; None where nothing was measured."""
        if not self.counts:
            return dict.fromkeys((*PERCENTILES, "max"))
        values = self.histogram().get_percentile_to_value_dict(list(PERCENTILES.values()))
        found: dict[str, float | None] = {
            # A bucket's upper end may lie above the largest value in it.
            name: min(values[percentile], self.largest) / 1000 for name, percentile in PERCENTILES.items()
        }
        found["max"] = self.largest / 1000
        return found
