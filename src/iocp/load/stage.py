"""What a part of a run with one number of players came to: a stage, a step of the search, or all of a plain run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .findings import is_shortage
from .objective import Objective
from .snapshot import Figures, Snapshot, faults_of

CPU_LIMIT: Final = 0.95
"""Share of one processor above which the generator had none left: what it measures then is itself."""


@dataclass(frozen=True)
class Verdict:
    """One objective with what was measured: milliseconds, or a count."""

    objective: Objective
    value: float | None
    held: bool


class Totals:
    """What snapshots add up to. `lateness_limit`: seconds, see Settings."""

    def __init__(self, snapshots: Sequence[Snapshot], lateness_limit: float, objectives: Sequence[Objective] = ()) -> None:
        self.snapshots = snapshots
        self.errors, self.violations = faults_of(snapshots)
        self.figures = sum((snapshot.measured for snapshot in snapshots), Figures())
        self.latency = self.figures.planned.milliseconds()
        self.latency_raw = self.figures.raw.milliseconds()
        self.fanout = self.figures.fanout.milliseconds()
        self.lateness = self.figures.lateness.milliseconds()
        self.received = sum(snapshot.received for snapshot in snapshots)
        hold = [snapshot for snapshot in snapshots if snapshot.phase == "hold"]
        self.hold_seconds = sum(snapshot.window for snapshot in snapshots)
        self.playing = max((snapshot.playing for snapshot in hold), default=0)
        """Players at the end of the best interval that was measured."""
        self.present = max((snapshot.playing + snapshot.returning for snapshot in hold), default=0)
        """... with those who had left to come back."""
        self.cpu = sum(snapshot.cpu for snapshot in hold)
        # Of the intervals, which the window's ends lie in and not on.
        seconds = sum(snapshot.seconds for snapshot in hold)
        self.cpu_share = self.cpu / seconds if seconds else 0.0
        self.packets = sum(snapshot.packets for snapshot in hold)
        self.sent_while_held = sum(snapshot.measured.sent for snapshot in hold)
        self.order_late = max((snapshot.order_late for snapshot in snapshots), default=0.0)
        self.course_delay = snapshots[-1].course_delay if snapshots else 0
        self.invalid = self._why_invalid(lateness_limit)
        self.verdicts = [self._judge(objective) for objective in objectives]
        self.invalid += self._misses_of_its_own(lateness_limit)

    @property
    def held(self) -> bool:
        """Whether all objectives were."""
        return all(verdict.held for verdict in self.verdicts)

    @property
    def blocked_share(self) -> float | None:
        """Of the answered moves, those that led nowhere; None: there were none."""
        return self.figures.blocked / self.figures.answered if self.figures.answered else None

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.figures.answered / self.hold_seconds if self.hold_seconds else 0.0

    def span(self, wanted: float) -> str:
        """How long it was measured, in words: less than the `wanted` seconds if it was cut short."""
        return f"{wanted:g} s" if self.hold_seconds > wanted - 0.001 else f"{self.hold_seconds:.1f} of {wanted:g} s"

    def _why_invalid(self, lateness_limit: float) -> list[str]:
        found = []
        late, limit = self.lateness["p99"], lateness_limit * 1000
        if late is not None and late > limit:
            found.append(f"the generator sent late: p99 {late:.1f} ms behind the plan, over the limit of {limit:g} ms")
        if self.order_late > lateness_limit:
            found.append(
                f"the generator stood still when the measured window began: {self.order_late * 1000:.0f} ms of it are not measured"
            )
        for name, count in self.errors.items():
            if is_shortage(name):
                found.append(f"the generator's machine had too little of something: {count:,} x {name}")
        if self.cpu_share > CPU_LIMIT:
            found.append(f"the generator used {self.cpu_share:.0%} of its processor, over the limit of {CPU_LIMIT:.0%}")
        return found

    def _misses_of_its_own(self, lateness_limit: float) -> list[str]:
        """Objectives that the server may have held, had the generator been in time: p999 and max see what p99 of the lateness does not."""
        found = []
        for verdict in self.verdicts:
            objective, value = verdict.objective, verdict.value
            late = self.lateness.get(objective.name.removeprefix("fanout_"))
            if not verdict.held and value is not None and late is not None and late > lateness_limit * 1000:
                if value - late <= objective.limit:
                    found.append(f"{objective} was missed by sends that the generator made up to {late:.1f} ms late: {value:.1f} ms")
        return found

    def _judge(self, objective: Objective) -> Verdict:
        name = objective.name
        value: float | None
        if name == "errors":
            value = self.errors.total()
        elif name == "violations":
            value = self.violations.total()
        elif name.startswith("fanout_"):
            value = self.fanout[name.removeprefix("fanout_")]
        else:
            value = self.latency[name]
        return Verdict(objective, value, objective.is_held(value))

    def as_json(self) -> dict[str, Any]:
        """The figures of a stage or a step; times in milliseconds unless the name says more."""
        return {
            "playing": self.playing,
            "hold_seconds": round(self.hold_seconds, 3),
            "sent": self.figures.sent,
            "answered": self.figures.answered,
            "blocked": self.figures.blocked,
            "unanswered": self.figures.unanswered + self.figures.pending,
            "rate_per_s": round(self.rate, 3),
            "errors": self.errors.total(),
            "violations": self.violations.total(),
            "latency_ms": self.latency,
            "latency_raw_ms": self.latency_raw,
            "fanout_ms": self.fanout,
            "course_delay_ms": self.course_delay,
            "lateness_ms": self.lateness,
            "cpu_share": round(self.cpu_share, 4),
            "valid": not self.invalid,
            "held": self.held,
            "invalid_because": self.invalid,
        }
