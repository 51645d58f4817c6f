"""One run against a server of the test, and its report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iocp.load.chess import chess
from iocp.load.objective import parse_objectives
from iocp.load.report import Report
from iocp.load.run import Run
from iocp.load.settings import Settings

Play = Callable[..., Report]


def play_on(backend: str, port: int, slo: str, during: Callable[[Run], None] | None, options: dict[str, Any]) -> Report:
    """Four players for 0.6 seconds, unless `options` (of Settings) say otherwise; `during` is called after each interval."""
    defaults: dict[str, Any] = {
        "protocol": chess(), "host": "127.0.0.1", "clients": 4, "rate": 50.0, "duration": 0.6, "timeout": 5.0, "interval": 0.2,
        # How late the machine lets the generator be is no matter of these tests, but of the one that makes it late.
        "lateness_limit": 5.0,
    }  # fmt: skip
    settings = Settings(**{**defaults, "port": port, "backend": backend, **options})
    run = Run(settings)
    for _ in run.snapshots():
        if during is not None:
            during(run)
    return Report(settings, run.history, run.outcome(), parse_objectives(slo))
