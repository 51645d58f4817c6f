"""What a run came to: totals, whether it is valid, whether the objectives were held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .._version import __version__
from .objective import Objective
from .run import Outcome
from .settings import Settings
from .snapshot import Figures, Snapshot

CPU_LIMIT: Final = 0.95
"""Share of one processor above which the generator had none left: what it measures then is itself."""

HELD, MISSED, USAGE, INVALID = 0, 1, 2, 3
"""Exit codes of the command."""


@dataclass(frozen=True)
class Verdict:
    """One objective with what was measured: milliseconds, or a count."""

    objective: Objective
    value: float | None
    held: bool


class Report:
    """Totals over the snapshots of one run."""

    def __init__(
        self, settings: Settings, snapshots: Sequence[Snapshot], outcome: Outcome, objectives: Sequence[Objective] = ()
    ) -> None:
        self.settings = settings
        self.outcome = outcome
        self.snapshots = snapshots
        self.errors: Counter[str] = sum((snapshot.errors for snapshot in snapshots), Counter())
        self.violations: Counter[str] = sum((snapshot.violations for snapshot in snapshots), Counter())
        self.figures = sum((snapshot.measured for snapshot in snapshots), Figures())
        self.latency = self.figures.planned.milliseconds()
        self.latency_raw = self.figures.raw.milliseconds()
        self.fanout = self.figures.fanout.milliseconds()
        self.lateness = self.figures.lateness.milliseconds()
        self.received = sum(snapshot.received for snapshot in snapshots)
        hold = [snapshot for snapshot in snapshots if snapshot.phase == "hold"]
        self.hold_seconds = sum(snapshot.seconds for snapshot in hold)
        self.cpu = sum(snapshot.cpu for snapshot in hold)
        self.cpu_share = self.cpu / self.hold_seconds if self.hold_seconds else 0.0
        self.packets = sum(snapshot.packets for snapshot in hold)
        self.invalid = self._why_invalid()
        self.verdicts = [self._judge(objective) for objective in objectives]

    @property
    def rate(self) -> float:
        """Answers per second of the measured window."""
        return self.figures.answered / self.outcome.hold_seconds if self.outcome.hold_seconds else 0.0

    @property
    def held(self) -> bool:
        """Whether all objectives were."""
        return all(verdict.held for verdict in self.verdicts)

    @property
    def exit_code(self) -> int:
        """Of the command. A run that proves nothing does not miss an objective either."""
        return INVALID if self.invalid else HELD if self.held else MISSED

    def _why_invalid(self) -> list[str]:
        found = []
        late, limit = self.lateness["p99"], self.settings.lateness_limit * 1000
        if late is not None and late > limit:
            found.append(f"the generator sent late: p99 {late:.1f} ms behind the plan, over the limit of {limit:g} ms")
        if self.cpu_share > CPU_LIMIT:
            found.append(f"the generator used {self.cpu_share:.0%} of its processor, over the limit of {CPU_LIMIT:.0%}")
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
        """For `--json`: the names that other programs rely on, then the rest. Times in milliseconds unless the name says more."""
        settings, outcome, figures = self.settings, self.outcome, self.figures
        return {
            "clients": settings.clients,
            "connected": outcome.most_playing,
            "sent": figures.sent,
            "received": self.received,
            "errors": self.errors.total(),
            "violations": self.violations.total(),
            "rate_per_s": round(self.rate, 3),
            "latency_ms": self.latency,
            "latency_raw_ms": self.latency_raw,
            "valid": not self.invalid,
            "held": self.held,
            "invalid_because": self.invalid,
            "interrupted": outcome.interrupted,
            "ended_early": outcome.ended_early,
            "objectives": [
                {"name": verdict.objective.name, "limit": verdict.objective.limit, "value": verdict.value, "held": verdict.held}
                for verdict in self.verdicts
            ],
            "answered": figures.answered,
            "unanswered": figures.unanswered,
            "skipped": figures.skipped,
            "fanout_ms": self.fanout,
            "fanout_measured": figures.fanout.total,
            "fanout_unmatched": sum(snapshot.fanout_unmatched for snapshot in self.snapshots),
            "course_delay_ms": self.snapshots[-1].course_delay if self.snapshots else 0,
            "lateness_ms": self.lateness,
            "errors_by_name": dict(self.errors.most_common()),
            "violations_by_name": dict(self.violations.most_common()),
            "examples": outcome.examples,
            "relocated": sum(snapshot.relocated for snapshot in self.snapshots),
            "churned": sum(snapshot.churned for snapshot in self.snapshots),
            "generator": {
                "version": __version__,
                "backend": outcome.backend,
                "cpu_seconds": round(self.cpu, 6),
                "cpu_share": round(self.cpu_share, 4),
                "microseconds_per_packet": self.microseconds_per_packet,
            },
            "settings": {
                "protocol": settings.protocol.name,
                "host": settings.host,
                "port": settings.port,
                "rate": settings.rate,
                "window": settings.window,
                "duration": settings.duration,
                "ramp": settings.ramp,
                "seed": settings.seed,
                "churn": settings.churn,
            },
            "hold_seconds": round(outcome.hold_seconds, 6),
            "latency_histogram": encoded(self),
            "intervals": [interval_as_json(snapshot) for snapshot in self.snapshots],
        }

    @property
    def microseconds_per_packet(self) -> float | None:
        """Of the generator's processor time, for each packet it sent or received while it measured."""
        packets = self.packets + sum(snapshot.measured.sent for snapshot in self.snapshots if snapshot.phase == "hold")
        return round(self.cpu / packets * 1e6, 4) if packets else None


def encoded(report: Report) -> str | None:
    """The latency in HdrHistogram's own compressed form (microseconds), which its tools of any language read."""
    times = report.figures.planned
    return times.histogram().encode().decode("ascii") if times.counts else None


def interval_as_json(snapshot: Snapshot) -> dict[str, Any]:
    """One interval of the run."""
    figures = snapshot.measured + snapshot.others
    return {
        "at_s": round(snapshot.at, 3),
        "phase": snapshot.phase,
        "playing": snapshot.playing,
        "sent": figures.sent,
        "answered": figures.answered,
        "packets": snapshot.packets,
        "errors": snapshot.errors.total(),
        "violations": snapshot.violations.total(),
        "latency_ms": figures.planned.milliseconds(),
        "cpu_share": round(snapshot.cpu / snapshot.seconds, 4) if snapshot.seconds else 0.0,
    }
