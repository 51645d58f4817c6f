"""One run against a server of the test, and its report; and what tests wait for in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import iocp.load.run as runs
from iocp.load.chess import chess
from iocp.load.objective import parse_objectives
from iocp.load.report import Report
from iocp.load.run import Run
from iocp.load.settings import Settings
from iocp.load.snapshot import Snapshot

Play = Callable[..., Report]

PATIENCE = 60.0
"""Seconds for what a server without faults does: only a failure uses them up."""
LEAD = 2.0
"""For tests that count each send: orders come before the time they name, also to a generator that stood still for a while."""


class PatientRun(Run):
    """A run that waits for answers as long as a busy machine may need for them, or as long as the test says where none come.

    answers: seconds for the answers at the end. between: ... at the end of a stage or step that is not the last. agreement: ... until
    all see the others where they are. lead: seconds between the order to measure and the window.
    """

    def __init__(
        self, settings: Settings, answers: float = PATIENCE, between: float | None = None, agreement: float = PATIENCE, lead: float = 0.0
    ) -> None:
        super().__init__(settings)
        self._answers, self._agreement = answers, agreement
        self._between = answers if between is None else between
        self._lead = lead or runs._LEAD
        self._ordered = ""

    def _order(self, order: str, *arguments: object) -> Iterator[Snapshot]:
        self._ordered = order
        return super()._order(order, *arguments)

    def _hold(self, seconds: float, *, last: bool, pause: bool = False) -> Iterator[Snapshot]:
        with mock.patch.object(runs, "_LEAD", self._lead):
            yield from super()._hold(seconds, last=last, pause=pause)

    @property
    def _longest_drain(self) -> float:
        if self._ordered == "compare":
            return self._agreement
        return self._answers if self._is_ending else self._between


def play_on(backend: str, port: int, slo: str, during: Callable[[Run], None] | None, options: dict[str, Any]) -> Report:
    """Four players for 0.6 seconds, unless `options` (of Settings, and of PatientRun) say otherwise; `during` is called after each
    interval."""
    defaults: dict[str, Any] = {
        "protocol": chess(), "host": "127.0.0.1", "clients": 4, "rate": 50.0, "duration": 0.6, "timeout": PATIENCE, "interval": 0.2,
        # How late the machine lets the generator be is no matter of these tests, but of the one that makes it late.
        "lateness_limit": PATIENCE,
    }  # fmt: skip
    waits = {name: options.pop(name) for name in ("answers", "between", "agreement", "lead") if name in options}
    settings = Settings(**{**defaults, "port": port, "backend": backend, **options})
    run = PatientRun(settings, **waits)
    for _ in run.snapshots():
        if during is not None:
            during(run)
    return Report(settings, run.history, run.outcome(), parse_objectives(slo))


def answered(run: Run, stage: int | None = None) -> int:
    """Sends of the measured windows so far, or of that stage's, that have their answer."""
    return sum(snapshot.measured.answered for snapshot in run.history if stage in (None, snapshot.stage))


def violations(run: Run, name: str) -> int:
    """So far."""
    return sum(snapshot.violations[name] for snapshot in run.history)


def stop_when(is_so: Callable[[Run], object]) -> Callable[[Run], None]:
    """For `during`: the run ends when that is so. Its duration is then the time-out, which only a failure uses up."""

    def during(run: Run) -> None:
        if is_so(run):
            run.stop()

    return during
