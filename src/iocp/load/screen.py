"""A run as a live screen in the terminal, for people. Needs rich (in the extra `load`).

It is drawn on the alternate screen once for each snapshot, so that nothing of it is left behind: the report that follows is text.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Final, TextIO

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .density import Extent
from .lines import report_lines
from .pictures import bar, columns, density_map, legend, map_side
from .settings import Stage
from .snapshot import Figures, Snapshot
from .words import duration, milliseconds, printable, quantity, size

if TYPE_CHECKING:
    from .report import Report
    from .settings import Settings
    from .times import Times

_LEFT: Final = 50
"""Columns that the panels of figures need; the map gets what is over."""
_HEAD, _PLAYERS, _MACHINES, _FAULTS = 2, 4, 5, 4
"""Lines of the parts; the latency gets what is over."""
_TABLE: Final = 5
"""Lines of the table of percentiles."""
_KEPT: Final = 1000
"""Intervals in the chart at most."""
_THICKEST: Final = 6
"""Characters of a column in the chart at most."""
_GOOD, _FAIR, _BAD, _QUIET = "#3fb950", "#d9a514", "#f85149", "#8b949e"
_LOWER, _UPPER = "#79c0ff", "#2f6fd0"
_PHASES: Final = {"ramp": ("players come", _FAIR), "hold": ("measuring", _GOOD), "drain": ("waiting for the last answers", _QUIET)}


def can_draw(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that shows what a screen is made of."""
    encoding = (stream.encoding or "").lower().replace("-", "")
    return stream.isatty() and encoding == "utf8" and os.environ.get("TERM") != "dumb"


class Screen:
    """Shows runs on a terminal, `console` (standard output); see `iocp.load.progress` for when the four methods are called."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(file=sys.stdout)
        self._live: Live | None = None
        self._picture: Picture | None = None

    def begin(self, settings: Settings) -> None:
        """A run is about to start. Takes over the terminal."""
        self._picture = Picture(settings)
        if self._live is None:
            self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()

    def update(self, snapshot: Snapshot) -> None:
        """Draw what has happened up to now."""
        if self._picture is None or self._live is None:
            raise RuntimeError("begin() comes first")
        self._picture.add(snapshot)
        self._live.update(self._picture.draw(*self._console.size), refresh=True)

    def end(self, report: Report) -> None:
        """The run is over: what it came to, on the ordinary screen."""
        self.close()
        self._console.file.write("\n".join(report_lines(report)) + "\n")
        self._console.file.flush()

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class Picture:
    """What is on the screen: sums over the snapshots so far."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._now = Snapshot(at=0.0, seconds=0.0, phase="ramp", playing=0)
        self._hold_began: float | None = None
        self._stage = 0
        self._notes: list[str] = []
        self._all = Figures()
        self._history: list[tuple[float, float]] = []
        self._errors: Counter[str] = Counter()
        self._violations: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._extent = Extent()

    def add(self, snapshot: Snapshot) -> None:
        """The next interval."""
        if snapshot.phase == "ramp" or snapshot.stage != self._stage:
            self._hold_began = None
        if snapshot.phase == "hold" and self._hold_began is None:
            # A measured window shows itself alone.
            self._hold_began = snapshot.at - snapshot.seconds
            self._all = Figures()
        self._stage = snapshot.stage
        if snapshot.note:
            self._notes.append(printable(snapshot.note))
        self._all += snapshot.measured if self._hold_began is not None else snapshot.others
        self._errors += snapshot.errors
        self._violations += snapshot.violations
        self._examples |= snapshot.examples
        self._extent = self._extent.including(snapshot.positions)
        times = (snapshot.measured + snapshot.others).planned.milliseconds()
        # The drain's few answers would be a column like those of a whole second.
        if snapshot.seconds >= self._settings.interval / 2:
            self._history = [*self._history[-_KEPT:], (times["p50"] or 0.0, times["p99"] or 0.0)]
        self._now = snapshot

    def draw(self, width: int, height: int) -> Group:
        """For a terminal of `width` x `height` characters."""
        faults = _FAULTS + max(0, min(len(self._faults()) - 2, height - 26))
        body = max(height - _HEAD - faults, _PLAYERS + _MACHINES + _TABLE + 2)
        side = min(2 * (body - 3), width - _LEFT - 2) // 2 * 2
        shows_map = bool(self._now.positions) and side >= 12
        side = map_side(self._extent, side) if shows_map else 0
        left = width - (side + 2 if shows_map else 0)
        latency = body - _PLAYERS - _MACHINES
        figures = Group(self._players(left), self._latency(left, latency), self._machines(left))
        grid = Table.grid()
        grid.add_column(width=left)
        if shows_map:
            grid.add_column(width=side + 2)
            grid.add_row(figures, self._map(side, body))
        else:
            grid.add_row(figures)
        return Group(self._head(width), grid, self._fault_panel(width, faults))

    # ---- the parts ----

    def _head(self, width: int) -> Text:
        settings, now = self._settings, self._now
        name, colour = _PHASES[now.phase]
        title = Text.assemble(("iocp-load ", "bold"), (settings.protocol.name, f"bold {_LOWER}"), f"  {settings.host}:{settings.port}")
        share, left = self._progress()
        state = Text.assemble((name, f"bold {colour}"), f"  {duration(left)} left" if left is not None else "")
        title.append(" " * max(1, width - title.cell_len - state.cell_len - 1))
        title.append_text(state)
        title.truncate(width)
        done = round(share * width)
        return Text.assemble(title, "\n", ("━" * done, colour), ("━" * (width - done), "#30363d"))

    @property
    def _has_stages(self) -> bool:
        return bool(self._settings.stages or self._settings.find_max)

    def _progress(self) -> tuple[float, float | None]:
        """How much of the phase is over, and how many seconds are left of the run if that is known."""
        settings, now = self._settings, self._now
        stages = settings.stages or (() if settings.find_max else (Stage(settings.clients, settings.duration),))
        known = now.stage < len(stages)
        later = sum(stage.seconds for stage in stages[now.stage + 1 :])
        if now.phase == "ramp":
            share = min(1.0, now.playing / self._wanted)
            coming = max(0, self._wanted - now.playing) / settings.ramp if settings.ramp else 0.0
            return share, coming + stages[now.stage].seconds + later if known else None
        if now.phase == "drain" or not known:
            return 1.0, None
        over = now.at - (self._hold_began or 0.0)
        seconds = stages[now.stage].seconds
        return min(1.0, over / seconds), max(0.0, seconds - over) + later

    @property
    def _wanted(self) -> int:
        """Players there are to be now."""
        return self._now.wanted or self._settings.clients

    def _players(self, width: int) -> Panel:
        now = self._now
        seconds = now.seconds or 1.0
        sent = (now.measured.sent + now.others.sent) / seconds
        count = f" {now.playing:,} of {self._wanted:,}"
        first = bar(now.playing / self._wanted, max(4, width - 4 - len(count)), _LOWER).append(count, "bold on default")
        rates = Text()
        for name, value in (
            ("sent", f"{quantity(sent)}/s"),
            ("received", f"{quantity(now.packets / seconds)}/s"),
            ("", f"{size(now.bytes / seconds)}/s"),
        ):
            rates.append(f"{name} " if name else "", _QUIET).append(value, "bold").append("   ")
        title = f"players, {'step' if self._settings.find_max else 'stage'} {now.stage + 1}" if self._has_stages else "players"
        return _panel(title, [first, rates], width, _PLAYERS)

    def _latency(self, width: int, height: int) -> Panel:
        now = self._now.measured + self._now.others
        lines = [Text("          " + "".join(f"{name:>7}" for name in ("p50", "p90", "p99", "p99.9", "max")), _QUIET)]
        for name, times in (
            ("answer now", now.planned), ("       all", self._all.planned), ("others now", now.fanout), ("       all", self._all.fanout),
        ):  # fmt: skip
            lines.append(_row(name, times))
        room = height - 2 - _TABLE
        # With room to spare the chart keeps off the table.
        lines += [Text()] * (room > 4) + self._chart(width - 4, room - (room > 4))
        return _panel("latency, milliseconds from the planned send", lines, width, height)

    def _chart(self, width: int, height: int) -> list[Text]:
        """Columns of p50 and p99 for each interval, with their scale at the left."""
        if height < 1:
            return []
        room = width - 11
        settings = self._settings
        expected = (settings.duration + (settings.clients / settings.ramp if settings.ramp else 0.0)) / settings.interval + 2
        thick = max(1, min(_THICKEST, int(room / expected))) if not self._has_stages else 1
        most = max((upper for _, upper in self._history[-(room // thick) :]), default=0.0)
        rows = columns(self._history, most, room, height, (_LOWER, _UPPER), thick)
        labels = [""] * height
        labels[0] = milliseconds(most) if most else ""
        if height > 1:
            labels[-1] = "p50 p99" if height == 2 else "0"
        if height > 2:
            labels[height // 2] = "p50 p99"
        found = []
        for label, row in zip(labels, rows, strict=True):
            text = Text(f"{'' if label == 'p50 p99' else label:>10} ", _QUIET)
            if label == "p50 p99":
                text = Text.assemble("   ", ("p50", _LOWER), " ", ("p99", _UPPER), " ")
            found.append(text.append_text(row))
        return found

    def _machines(self, width: int) -> Panel:
        now = self._now
        room = max(6, min(20, width - 40))
        share = now.cpu / now.seconds if now.seconds else 0.0
        lateness = self._all.lateness.milliseconds()["p99"]
        limit = self._settings.lateness_limit * 1000
        lines = [
            Text("generator ", _QUIET).append_text(_load(share, room)).append(" late p99 ", _QUIET)
            .append(f"{milliseconds(lateness)} ms" if lateness is not None else "-", "bold")
        ]  # fmt: skip
        if now.server is not None:
            server = Text("server    ", _QUIET).append_text(_load(now.server.cpu, room)).append(f" {size(now.server.memory)}", "bold")
            lines.append(server.append(f" {printable(now.server.name)}", _QUIET))
        else:
            lines.append(Text("server    not seen on this machine", _QUIET))
        if lateness is not None and lateness > limit:
            lines.append(Text(f"✗ sends late, over {limit:g} ms: run is invalid", f"bold {_BAD}"))
        elif share > 0.95:
            lines.append(Text("✗ the generator has no processor time left", f"bold {_BAD}"))
        else:
            lines.append(Text(f"✓ valid: sends on time (limit {limit:g} ms)", _GOOD))
        return _panel("processor", lines, width, _MACHINES)

    def _map(self, side: int, height: int) -> Panel:
        lines, most = density_map(self._now.positions, self._extent, side)
        shown = len(self._now.positions) // 4
        note = legend(most)
        part = f"  {shown:,} shown" if shown < self._now.playing else ""
        lines = [*lines, *[Text()] * (height - 3 > len(lines)), note.append(part, "dim")]
        title = f"map, {self._extent.side} x {self._extent.side} tiles"
        return _panel(title, lines, side + 2, height, padding=0)

    def _faults(self) -> list[Text]:
        lines = []
        for name, count in self._violations.most_common():
            lines.append(Text.assemble((f"{count:,} x {printable(name)}", f"bold {_BAD}"), f"  {printable(self._examples.get(name, ''))}"))
        lines += [Text(f"{count:,} x {printable(name)}", _FAIR) for name, count in self._errors.most_common()]
        lines += [
            Text(f"example: {printable(text)}", _QUIET) for name, text in self._examples.items() if name not in self._violations
        ]
        lines = lines or [Text("none: every packet was what it had to be", _GOOD)]
        # What became of the stages before this one, where there is room.
        return lines + [Text(note, _QUIET) for note in reversed(self._notes)]

    def _fault_panel(self, width: int, height: int) -> Panel:
        errors, violations = self._errors.total(), self._violations.total()
        colour = _BAD if errors or violations else _QUIET
        return _panel(f"errors {errors:,}, violations {violations:,}", self._faults(), width, height, colour)


def _panel(title: str, lines: list[Text], width: int, height: int, colour: str = _QUIET, padding: int = 1) -> Panel:
    text = Text("\n").join(lines[: height - 2])
    # A sentence may take what other lines leave.
    text.no_wrap = len(lines) >= height - 2
    text.overflow = "ellipsis" if text.no_wrap else "fold"
    return Panel(
        text, title=Text(title, "default" if colour == _QUIET else colour), title_align="left", box=box.ROUNDED,
        border_style="#484f58" if colour == _QUIET else colour, padding=(0, padding), width=width, height=height,
    )  # fmt: skip


def _row(name: str, times: Times) -> Text:
    text = Text(f"{name:<10}", _QUIET)
    for value in times.milliseconds().values():
        text.append(f"{milliseconds(value):>7}", _colour(value))
    return text


def _colour(value: float | None) -> str:
    """A tenth of a second is what a player begins to feel."""
    return _QUIET if value is None else _GOOD if value <= 50 else _FAIR if value <= 100 else _BAD


def _load(share: float, width: int) -> Text:
    colour = _GOOD if share < 0.7 else _FAIR if share < 0.95 else _BAD
    return bar(share, width, colour).append(f"{share:>5.0%}", "bold on default")

