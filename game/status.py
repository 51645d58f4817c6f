"""What a chess server says of itself: a status line, live at the bottom of a terminal with the log above it, elsewhere
plain and now and then; and a summary at the end.

The live line needs rich (the extra `demo`). It belongs to the thread that made it.
"""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from iocp.output import remark

from .board import Meter
from .quantity import counted
from .vitals import Vitals

if TYPE_CHECKING:
    from rich.live import Live

LIVE_EVERY: Final = 0.5
"""Seconds between two looks at a live line."""


class StatusText:
    """Turns snapshots into a line."""

    def __init__(self) -> None:
        self._moves, self._steps = Meter(), Meter()
        self._most_lag = 0.0

    def line(self, now: Vitals) -> str:
        """`players 40 | awake 120 of 5,000 | 80 moves/s | tick lag 0.4 ms | cuts: 1 protocol`."""
        parts = [f"players {now.players:,}"]
        if now.monsters:
            parts.append(f"awake {now.awake:,} of {now.monsters:,} ({self._steps.rate(now.steps):,.0f} steps/s)")
        parts.append(f"{self._moves.rate(now.moves):,.0f} moves/s")
        parts.append(f"tick lag {now.tick_lag * 1000:.1f} ms" + (f", {now.late:,} late" if now.late else ""))
        parts.append("cuts: " + (", ".join(f"{count:,} {reason}" for reason, count in now.cuts.items()) or "none"))
        if now.scripts_failed:
            parts.append(f"scripts failed: {', '.join(now.scripts_failed)}")
        if now.storage is not None:
            if not now.storage.ok:
                parts.append(f"DATABASE: {now.storage.problem} (to save: {counted(now.storage.pending, 'player')})")
            elif now.storage.pending:
                parts.append(f"{now.storage.pending:,} to save")
        return " | ".join(parts)


class StatusLine:
    """Shows the line on standard error, as a context manager. `every`: seconds between plain lines, 0 for none.

    `interval` is how often `show` is to be called, None if never.
    """

    def __init__(self, every: float) -> None:
        self._text = StatusText()
        self._live: Live | None = None
        self.interval: float | None = every or None
        if sys.stderr is not None and sys.stderr.isatty() and (live := _live()) is not None:
            self._live = live
            self.interval = LIVE_EVERY

    def show(self, now: Vitals) -> None:
        """Draw or print it."""
        line = self._text.line(now)
        if self._live is None:
            remark(line)
            return
        from rich.text import Text

        self._live.update(Text(line, "bold red" if "DATABASE" in line else "dim", no_wrap=True, overflow="ellipsis"), refresh=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
            _log_to_current_stderr()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, value, trace)
            _log_to_current_stderr()


def _log_to_current_stderr() -> None:
    """While the live line is there it stands in for standard error, so that log lines scroll by above it."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(sys.stderr)


def _live() -> Live | None:
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    if sys.platform == "win32" and (sys.stdout is None or not sys.stdout.isatty()):
        return None  # rich moves the cursor of standard output there, whichever of the two it writes to
    return Live(console=Console(stderr=True), auto_refresh=False, transient=True)


def summary(now: Vitals, most_online: int, online_at_stop: int, cpu: float) -> str:
    """What happened, in lines; `cpu` in seconds of processor time."""
    stats = now.engine
    uptime = max(stats.uptime, 1e-9)
    packets = stats.packets_received + stats.packets_queued
    refused = "".join(f", {number:,} refused ({cause})" for cause, number in sorted(now.refused.items()))
    ended = ", ".join(f"{number:,} {reason.name.lower()}" for reason, number in now.ended.items() if number)
    bad = ", ".join(f"{number:,} {kind}" for kind, number in sorted(now.violations.items()))
    lines = [
        f"stopped after {uptime:.1f} s on {stats.backend}",
        f"  players   {now.logins:,} logged in, {most_online:,} at once, {online_at_stop:,} at the end",
        f"  moves     {now.moves:,} ({now.moves / uptime:,.0f}/s){refused}",
    ]
    if now.monsters:
        lines.append(
            f"  monsters  {now.monsters:,}, {now.steps:,} steps ({now.steps / uptime:,.0f}/s), "
            f"{now.kills:,} killed; they killed {counted(now.deaths, 'player')}"
        )
    if now.storage is not None:
        lines.append(f"  kept      {now.storage.saved:,} records saved, {now.storage.pending:,} not")
    lines += [
        f"  packets   {stats.packets_received:,} received, {stats.packets_queued:,} sent in {stats.sends:,} calls",
        f"  sessions  {stats.accepted:,} accepted; ended: {ended or 'none'}",
        f"  bad input {bad or 'none'}; errors in handlers: {stats.handler_errors:,}",
        f"  ticks     {now.ticks:,}, late by {now.most_tick_lag * 1000:.1f} ms at most",
        f"  CPU       {cpu:.2f} s; {packets / max(cpu, 1e-9):,.0f} packets per CPU-second",
    ]
    return "\n".join(lines)
