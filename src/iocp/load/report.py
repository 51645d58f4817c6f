"""What a run came to: totals, whether it is valid, whether the objectives were held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._version import __version__
from .findmax import FindMaxReport
from .machine import machine_facts
from .objective import Objective
from .run import Outcome
from .settings import Settings, Stage
from .snapshot import Snapshot
from .stage import Totals, Verdict

__all__ = ["HELD", "INVALID", "MISSED", "USAGE", "Report", "Verdict", "interval_as_json"]

HELD, MISSED, USAGE, INVALID = 0, 1, 2, 3
"""Exit codes of the command."""


class Report(Totals):
    """Totals over the snapshots of one run.

    Of a search they are those of the last confirmation of what held, which is what people want to know of it: the rest stands
    in `find_max`. If nothing held they are of all steps, and `clients` is 0.
    """

    def __init__(
        self, settings: Settings, snapshots: Sequence[Snapshot], outcome: Outcome, objectives: Sequence[Objective] = ()
    ) -> None:
        self.settings = settings
        self.outcome = outcome
        self.find_max: FindMaxReport | None = None
        if outcome.search is not None and settings.find_max is not None:
            self.find_max = FindMaxReport(outcome.search, settings.find_max, outcome.judged, snapshots)
        best = self.find_max.best if self.find_max is not None else None
        super().__init__(best.snapshots if best is not None else snapshots, settings.lateness_limit, objectives)
        self.snapshots = snapshots
        self.clients = settings.clients if self.find_max is None else self.find_max.held or 0
        self.stages: list[tuple[Stage, Totals]] = []
        for index, stage in enumerate(settings.stages):
            totals = Totals([snapshot for snapshot in snapshots if snapshot.stage == index], settings.lateness_limit, objectives)
            # Of a run that was cut short those that it came to.
            if self._is_measured(totals) or not self.partial:
                self.stages.append((stage, totals))
                self.invalid += [f"stage {index + 1}: {reason}" for reason in totals.invalid if reason not in self.invalid]
        self.invalid = outcome.failures + (self.invalid if self.find_max is None else self._why_undecided(self.find_max))
        self.has_measured_nothing = self.find_max is None and not self._is_measured(self)
        """No send lay in a measured window."""
        if self.has_measured_nothing and self.held and not self.invalid:
            self.invalid.append(
                "interrupted before anything was measured" if outcome.interrupted
                else "nothing was measured: no send lay in the measured window" if self.playing
                else "nothing was measured: no player was there"
            )  # fmt: skip

    def _is_measured(self, totals: Totals) -> bool:
        """Whether there was anything to judge; of players that only listen, that they were there."""
        return bool(totals.playing and totals.hold_seconds if self.only_listened else totals.figures.sent)

    def _why_undecided(self, search: FindMaxReport) -> list[str]:
        """Of a search: what single steps came to decides nothing, and a late generator in one of them ends it only."""
        if search.held is not None or search.failed is not None:
            return []
        late = [f"at {step.step.clients:,} players {reason}" for step in search.steps for reason in step.totals.invalid]
        return late or ["interrupted before a step of the search was over"]

    @property
    def held(self) -> bool:
        """Whether all objectives were, in each stage: those of all stages together may hide one that failed.

        Of a search: whether some number of players held them, the server was there to the end of it, and told nothing wrong between the
        steps either.
        """
        if self.find_max is not None:
            return self.find_max.held is not None and not self.outcome.ended_early and not self.find_max.is_violated
        return super().held and all(totals.held for _, totals in self.stages)

    @property
    def only_listened(self) -> bool:
        """No player was to send anything."""
        return not self.settings.rate and not self.settings.window

    @property
    def partial(self) -> bool:
        """Whether it ended before it was over."""
        return self.outcome.interrupted or bool(self.outcome.failures)

    @property
    def exit_code(self) -> int:
        """Of the command. A run that proves nothing does not miss an objective either."""
        return INVALID if self.invalid else HELD if self.held else MISSED

    @property
    def fanout_unmatched(self) -> int:
        """Moves of others that are in no figure: no new send of theirs led there."""
        return sum(snapshot.fanout_unmatched for snapshot in self.snapshots)

    def as_json(self) -> dict[str, Any]:
        """For `--json`: the names that other programs rely on, then the rest. Times in milliseconds unless the name says more."""
        settings, outcome, figures = self.settings, self.outcome, self.figures
        return {
            "clients": self.clients,
            "connected": outcome.most_playing if self.find_max is None else self.playing,
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
            "partial": self.partial,
            "interrupted": outcome.interrupted,
            "ended_early": outcome.ended_early,
            "objectives": [
                {"name": verdict.objective.name, "limit": verdict.objective.limit, "value": verdict.value, "held": verdict.held}
                for verdict in self.verdicts
            ],
            "answered": figures.answered,
            "blocked": figures.blocked,
            "unanswered": figures.unanswered + figures.pending,
            "skipped": figures.skipped,
            "fanout_ms": self.fanout,
            "fanout_measured": figures.fanout.total,
            "fanout_unmatched": self.fanout_unmatched,
            "course_delay_ms": self.course_delay,
            "lateness_ms": self.lateness,
            "errors_by_name": dict(self.errors.most_common()),
            "violations_by_name": dict(self.violations.most_common()),
            "examples": outcome.examples,
            "relocated": sum(snapshot.relocated for snapshot in self.snapshots),
            "churned": sum(snapshot.churned for snapshot in self.snapshots),
            "generator": {
                "version": __version__,
                "backend": outcome.backend,
                "processes": settings.processes,
                "failures": outcome.failures,
                "cpu_seconds": round(self.cpu, 6),
                "cpu_share": round(self.cpu_share, 4),
                "microseconds_per_packet": self.microseconds_per_packet,
            },
            "settings": settings.parameters(),
            "machine": machine_facts(),
            "stages": [
                {"clients": stage.clients, "seconds": stage.seconds, **totals.as_json()} for stage, totals in self.stages
            ],
            "find_max": self.find_max.as_json() if self.find_max is not None else None,
            "hold_seconds": round(self.hold_seconds, 6),
            "latency_histogram": encoded(self),
            "intervals": [interval_as_json(snapshot) for snapshot in self.snapshots],
        }

    @property
    def microseconds_per_packet(self) -> float | None:
        """Of the generator's processor time, for each packet it sent or received while it measured."""
        packets = self.packets + self.sent_while_held
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
        "stage": snapshot.stage,
        "playing": snapshot.playing,
        "sent": figures.sent,
        "answered": figures.answered,
        "packets": snapshot.packets,
        "errors": snapshot.errors.total(),
        "violations": snapshot.violations.total(),
        "latency_ms": figures.planned.milliseconds(),
        "cpu_share": round(snapshot.cpu / snapshot.seconds, 4) if snapshot.seconds else 0.0,
    }
