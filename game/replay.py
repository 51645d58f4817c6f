"""The command `iocp-chess replay`: a recording's world run again without a network, and compared byte for byte.

What was recorded is done to a `RecordingServer` over stand-ins for the engine and its sessions. Whatever that one notes must be
what the recording says: the same events at the same times, and so, by its digests, the same bytes to everybody.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import iocp

from .kinds import ScriptError
from .progress import Progress
from .recorder import RecordingServer
from .recording import (
    Check,
    Connected,
    Ended,
    Event,
    Known,
    Received,
    RecordingError,
    RecordingReader,
    ScriptChanged,
    Sent,
    Started,
    Stopped,
    Ticked,
    Total,
    made_by,
)
from .rescue import Record

log = logging.getLogger("iocp.game")

_PROGRESS_EVENTS: Final = 500
"""Between two times that progress is told and files are written."""
_MOST_UNWRITTEN: Final = 1 << 16
"""Bytes for one session's file, from which on they do not wait for its end."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What the command line says. `output`: the folder for a file with each session's bytes; None for none."""

    file: Path
    output: Path | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of a replay."""

    difference: str
    """The first difference in words, with its place; "" if there is none."""
    complete: bool
    """Whether the recording goes on until its server stopped. If not, up to a thousand events at its end are not compared."""
    events: int
    """What came in: connections, packets, their ends, ticks ... up to the difference."""
    seconds: float
    """Of the server's clock, from the first event to the last."""
    sessions: int
    sent: int
    """Bytes to all sessions."""
    errors: int
    """Exceptions in handlers. The server that was recorded had them too."""
    made_by: str
    """The versions of the recording."""

    @property
    def identical(self) -> bool:
        """Whether all that could be compared is as recorded."""
        return not self.difference


def replay(
    path: Path, *, output: Path | None = None, progress: Callable[[str, float], object] = lambda what, done: None
) -> ReplayResult:
    """Run the recording at `path` again, up to the first difference; this runs its scripts.

    output: a folder in which each session gets a file `<id>.bin` with all that the game sent to it. Its peer has received
    less only if it, or a guard of the server, ended the connection before. progress: called with what is being done and the
    part done, from 0 to 1. Raises RecordingError if the file is no recording or damaged, or `output` cannot be written.
    """
    with RecordingReader(path) as reader:
        return _Replay(reader, output, progress).run(progress)


class _Session:
    """A session that leads nowhere: what it is sent is counted and, with a file, kept for it until `flush`.

    `send` does not write: the game, its handlers and scripts would take a full disk for an exception of their own.
    """

    def __init__(self, id: int, address: tuple[str, int], file: Path | None) -> None:
        self.id = id
        self.address = address
        self.data: Any = None
        self.sent = 0
        self._file = file
        self._unwritten: list[bytes] = []
        self._written = 0
        if file is not None:
            file.write_bytes(b"")

    def send(self, packet: bytes) -> None:
        self.sent += len(packet)
        if self._file is not None:
            self._unwritten.append(packet)

    def flush(self, least: int = 1) -> None:
        """Write what waits, if it is so much. Opened each time, since there may be more sessions than files may be open."""
        if self._file is not None and self.sent - self._written >= least:
            with self._file.open("ab") as file:
                file.writelines(self._unwritten)
            self._unwritten.clear()
            self._written = self.sent

    def close(self, reason: iocp.Reason) -> None:
        """Its end is in the recording."""

    abort = close


class _Timer:
    """A timer that the recording drives."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function
        self.active = True

    def cancel(self) -> None:
        self.active = False


class _Engine:
    """What the game needs of an engine."""

    def __init__(self) -> None:
        self.timer: _Timer | None = None

    def multicast(self, sessions: Iterable[_Session], packet: bytes) -> None:
        for session in sessions:
            session.send(packet)

    def call_every(self, interval: float, function: Callable[[], object]) -> _Timer:
        self.timer = _Timer(function)
        return self.timer


class _Difference(Exception):
    """The replay is not as recorded; the text says what differs and where."""


class _Place(NamedTuple):
    """How far a recording was read: events, and seconds since the first one."""

    events: int
    seconds: float


class _Comparison:
    """The tape of the server that does all again: what it notes is compared with what was recorded."""

    failed: Final = False

    def __init__(self, label: Callable[[int], str]) -> None:
        self._label = label
        self._recorded: deque[tuple[Event, _Place]] = deque()
        self._noted: deque[Event] = deque()
        self._checked = _Place(0, 0.0)

    def begin(self) -> None:
        """The tape is there."""

    def write(self, event: Event) -> None:
        """What the server notes."""
        self._noted.append(event)

    def compare(self, event: Event, place: _Place) -> None:
        """What was recorded next, and the server was made to do, if it is something to do. Raises _Difference."""
        self._recorded.append((event, place))
        while self._recorded and self._noted:
            recorded, place = self._recorded.popleft()
            noted = self._noted.popleft()
            if type(recorded) is not type(noted) or recorded != noted:
                self.differs(self._describe(recorded, noted), place)
            if isinstance(recorded, Check):
                self._checked = place

    def end(self, place: _Place) -> None:
        """There is no more. Raises _Difference if one side has more than the other."""
        for event in [*(event for event, _ in self._recorded), *self._noted]:
            self.differs(f"{type(event).__name__} only on one side", place)

    def differs(self, what: str, place: _Place) -> None:
        """Raise _Difference."""
        since = self._checked
        raise _Difference(
            f"{what}; between events {since.events + 1:,} and {place.events:,}, "
            f"{since.seconds:.3f} to {place.seconds:.3f} s after the start"
        )

    def _describe(self, recorded: Event, noted: Event) -> str:
        if isinstance(recorded, Check) and isinstance(noted, Check):
            return self._describe_all(recorded.sent, noted.sent)
        if isinstance(recorded, Total) and isinstance(noted, Total):
            return self._describe_one(recorded, noted)
        if isinstance(recorded, Started) and isinstance(noted, Started):
            return "the setting makes another world than the one that was recorded"
        return f"{type(noted).__name__} where {type(recorded).__name__} was recorded"

    def _describe_all(self, recorded: Sequence[Sent], noted: Sequence[Sent]) -> str:
        before = {sent.session: sent for sent in recorded}
        now = {sent.session: sent for sent in noted}
        differ = [id for id in before | now if before.get(id) != now.get(id)]
        if not differ:
            return "sessions were sent the same, but not in the same order"
        id = differ[0]
        others = f" (and {len(differ) - 1:,} other sessions)" if len(differ) > 1 else ""
        if id not in now:
            return f"{self._label(id)} was sent nothing, but in the recording it was{others}"
        if id not in before:
            return f"{self._label(id)} was sent something, but in the recording it was not{others}"
        return self._describe_one(before[id], now[id]) + others

    def _describe_one(self, recorded: Sent | Total, noted: Sent | Total) -> str:
        label = self._label(noted.session)
        if recorded.size == noted.size:
            return f"{label} was sent other bytes, {noted.size:,} as in the recording"
        return f"{label} was sent {noted.size:,} bytes, in the recording {recorded.size:,}"


class _Replay:
    """One run over the events of `reader`."""

    def __init__(self, reader: RecordingReader, output: Path | None, progress: Callable[[str, float], object]) -> None:
        self._reader = reader
        self._output = output
        self._engine = _Engine()
        self._sessions: dict[int, _Session] = {}
        self._connected = 0
        self._sent = 0
        self._errors = 0
        self._begun: float | None = None
        self._now = 0.0
        self._place = _Place(0, 0.0)
        self._comparison = _Comparison(self._label)
        try:
            self._world = reader.setting.build(progress)
            self._server = RecordingServer(
                self._world, recording=self._comparison, clock=lambda: self._now, **reader.game
            )
        except (ValueError, TypeError) as error:
            raise RecordingError(f"{reader.path}: its world cannot be built: {error}") from error

    def run(self, progress: Callable[[str, float], object]) -> ReplayResult:
        """Do it."""
        reader = self._reader
        try:
            if self._output is not None:
                self._output.mkdir(parents=True, exist_ok=True)
            difference = self._feed(progress)
        except (KeyError, ValueError, TypeError) as error:
            place = f"event {self._place.events:,}"
            raise RecordingError(f"{reader.path} cannot be replayed beyond {place}: {error!r}") from error
        except OSError as error:
            raise RecordingError(f"{self._output} cannot be written: {error.strerror or error}") from None
        except RecordingError as error:
            raise RecordingError(f"{error}; the {self._place.events:,} events before that are as recorded") from None
        return ReplayResult(
            difference=difference,
            complete=reader.complete,
            events=self._place.events,
            seconds=self._place.seconds,
            sessions=self._connected,
            sent=self._sent,
            errors=self._errors,
            made_by=reader.made_by,
        )

    def _feed(self, progress: Callable[[str, float], object]) -> str:
        """Do all events up to the first difference: that one in words, or "". What was sent until then is in the files, however it ends."""
        reader = self._reader
        try:
            for number, event in enumerate(reader):
                self._do(event)
                self._comparison.compare(event, self._place)
                if number % _PROGRESS_EVENTS == 0:
                    progress("the replay", reader.progress)
                    for session in self._sessions.values():
                        session.flush(_MOST_UNWRITTEN)
            if reader.complete:
                self._comparison.end(self._place)
            progress("the replay", 1.0)
        except _Difference as found:
            return str(found)
        finally:
            for session in self._sessions.values():
                self._leave(session)
        return ""

    def _do(self, event: Event) -> None:
        """Do to the server what was done to it, if that is what the event tells of."""
        if isinstance(event, Known):
            self._world.records[event.name] = Record(*event)
        elif isinstance(event, Total):
            self._leave(self._sessions.pop(event.session))
        if not isinstance(event, (Received, Ticked, Connected, Ended, ScriptChanged, Started, Stopped)):
            return
        self._now = event.now
        if self._begun is None:
            self._begun = event.now
        self._place = _Place(self._place.events + 1, event.now - self._begun)
        server, sessions = self._server, self._sessions
        if isinstance(event, Received):
            self._call(server.on_packet, sessions[event.session], event.packet)
        elif isinstance(event, Ticked):
            timer = self._engine.timer
            if timer is None or not timer.active:
                return self._comparison.differs("nothing waits for a tick, but one was recorded", self._place)
            self._call(timer.function)
        elif isinstance(event, Connected):
            file = None if self._output is None else self._output / f"{event.session}.bin"
            session = sessions[event.session] = _Session(event.session, (event.host, event.port), file)
            self._connected += 1
            self._call(server.on_connect, session)
        elif isinstance(event, Ended):
            self._call(server.on_disconnect, sessions[event.session], iocp.Reason(event.reason))
        elif isinstance(event, ScriptChanged):
            self._call(server.install_script, event.script, event.text)
        elif isinstance(event, Started):
            self._call(server.on_start, self._engine)
        else:
            self._call(server.on_stop, self._engine)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        """As the engine calls a handler: an exception is logged, and the game goes on."""
        try:
            function(*arguments)
        except ScriptError as error:
            log.error("%s: its monsters do as before", error)
        except Exception:
            self._errors += 1
            log.exception("event %d of the recording failed", self._place.events)

    def _leave(self, session: _Session) -> None:
        session.flush()
        self._sent += session.sent

    def _label(self, id: int) -> str:
        session = self._sessions.get(id)
        name = session.data.text_name if session is not None and session.data is not None else ""
        return f"session {id} ({name!a})" if name else f"session {id}"


def replay_command(options: ReplayOptions) -> int:
    """Replay a recording and say what came of it. 0: identical; 1: there is a difference; 2: it cannot be replayed."""
    began = time.monotonic()
    try:
        result = replay(options.file, output=options.output, progress=Progress())
    except RecordingError as error:
        print(f"iocp-chess: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("iocp-chess: the replay was interrupted", file=sys.stderr)
        return 2
    print(summary(result, time.monotonic() - began), flush=True)
    return 0 if result.identical else 1


def summary(result: ReplayResult, took: float) -> str:
    """The result in lines; `took` in seconds."""
    lines = [
        "identical: every session was sent the same bytes" if result.identical else f"different: {result.difference}",
        f"  events    {result.events:,} in {result.seconds:.1f} s, replayed in {took:.1f} s",
        f"  sessions  {result.sessions:,}, sent {result.sent:,} bytes",
    ]
    if result.errors:
        lines.append(f"  errors    {result.errors:,} in handlers: see the log")
    if result.identical and not result.complete:
        lines.append("  the recording has no end: its server was killed, or could not write; what came last is not compared")
    if result.made_by != made_by():
        lines.append(f"  recorded with {result.made_by}; this is {made_by()}")
    return "\n".join(lines)
