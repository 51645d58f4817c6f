"""What a search came to: an interval, and each of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .search import Judgement, Search, Step
from .settings import FindMax
from .snapshot import Snapshot, faults_of
from .stage import Totals


@dataclass(frozen=True)
class StepReport:
    """A step with its figures."""

    step: Step
    judgement: Judgement
    totals: Totals


class FindMaxReport:
    """The steps of one search, and what each was judged by; `snapshots` are those of the whole run."""

    def __init__(self, search: Search, wanted: FindMax, judged: Sequence[Totals], snapshots: Sequence[Snapshot] = ()) -> None:
        self.wanted = wanted
        self.search = search
        self.steps = [StepReport(*found, totals) for found, totals in zip(search.steps, judged, strict=True)]
        self.held, self.failed, self.invalid_from = search.held, search.failed, search.invalid_from
        known = {id(snapshot) for totals in judged for snapshot in totals.snapshots}
        between = [snapshot for snapshot in snapshots if id(snapshot) not in known]
        self.errors_between, self.violations_between = faults_of(between)
        """While players left, or the server had time to recover: no step is judged by it."""

    @property
    def best(self) -> Totals | None:
        """The last step that held the highest number; None: nothing held."""
        found = [step.totals for step in self.steps if step.step.clients == self.held and step.judgement == "held"]
        return found[-1] if found else None

    @property
    def is_violated(self) -> bool:
        """Whether there were more violations between the steps than a step may have: those no load excuses."""
        allowed = max((objective.limit for objective in self.wanted.objectives if objective.name == "violations"), default=0.0)
        return self.violations_between.total() > allowed

    @property
    def confirmed(self) -> int:
        """How often the highest number held in a confirmation."""
        return self.search.times(self.held, "held", "confirm") if self.held is not None else 0

    @property
    def failed_times(self) -> int:
        """How often the lowest number that failed did."""
        return self.search.times(self.failed, "failed") if self.failed is not None else 0

    def sentence(self) -> str:
        """The interval in words."""
        if self.held is None:
            held = "nothing held"
        else:
            held = f"held {self.held:,} (confirmed {times(self.confirmed)})"
        if self.failed is not None:
            # Above where the server failed it does not matter.
            matters = self.invalid_from is not None and self.invalid_from <= self.failed
            late = f"; the generator was too late from {self.invalid_from:,} on" if matters else ""
            return f"{held} .. failed {self.failed:,} ({times(self.failed_times)}{late})"
        if self.invalid_from is not None:
            return f"{held} .. invalid from {self.invalid_from:,} on: the generator was too late there"
        if self.held is None:
            return "nothing was decided"
        return f"{held} .. the limit of the search" if self.held == self.wanted.limit else held

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "held": self.held,
            "failed": self.failed,
            "invalid_from": self.invalid_from,
            "confirmed": {"held": self.confirmed, "failed": self.failed_times},
            "limit": self.wanted.limit,
            "precision": self.wanted.precision,
            "objectives": [str(objective) for objective in self.wanted.objectives],
            "between": {"errors": dict(self.errors_between), "violations": dict(self.violations_between)},
            "steps": [
                {
                    "clients": step.step.clients,
                    "kind": step.step.kind,
                    "fresh": step.step.fresh,
                    "result": step.judgement,
                    **step.totals.as_json(),
                }
                for step in self.steps
            ],
        }


def times(count: int) -> str:
    """A number of times in words."""
    return "once" if count == 1 else f"{count} times"
