"""The chess server that records itself: all that comes in is noted before it is worked on, all that goes out is digested.

What comes in is what can differ from one run to the next: connections, packets, their ends, ticks, changed scripts, players
known from earlier, and the clock. The clock is read once for each of these events and stands still until the next, so that a
replay can give the very same times (`replay.py`). What goes out is cut off at the stop, after which it would reach nobody.

A replay is exact as long as scripts take their chances from `me.random()` alone: not from modules such as `random` or `time`,
from files, or from the order of a set.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast

import iocp

from .names import decode_name
from .piece import Player
from .protocol import Login, parse_client
from .recording import (
    Check,
    Connected,
    Ended,
    Event,
    Finished,
    Known,
    Received,
    ScriptChanged,
    Sent,
    Started,
    Stopped,
    Ticked,
    Total,
)
from .server import ChessServer, refuse_overlap
from .violation import ProtocolError
from .world import World

CHECK_EVENTS: Final = 1_000
"""Events between two checks: as near as a replay comes to the place where something differs."""
_MOST_KEPT: Final = 128
"""Packets to a session that wait to be digested in one go."""


class Tape(Protocol):
    """Where events go: a `RecordingWriter`, or what compares them with a recording."""

    @property
    def failed(self) -> bool:
        """Whether events are no longer wanted."""

    def begin(self) -> None:
        """The server starts."""

    def write(self, event: Event) -> None:
        """Take an event."""


class RecordedSession:
    """A session for the game that digests what it is sent; what is sent goes on to the real one."""

    __slots__ = ("_digest", "_kept", "_noted", "address", "data", "id", "session", "size")

    def __init__(self, session: iocp.Session) -> None:
        self.session: Final = session
        self.id: Final = session.id
        self.address: Final = session.address
        self.data: Any = None
        self.size = 0
        """Bytes sent so far, but for those that wait to be digested."""
        self._digest = hashlib.blake2b(digest_size=16)
        self._kept: list[bytes] = []
        self._noted = 0

    def send(self, packet: bytes) -> None:
        """As `iocp.Session.send`."""
        self.keep(packet)
        self.session.send(packet)

    def close(self, reason: iocp.Reason = iocp.Reason.CLOSED) -> None:
        """As `iocp.Session.close`."""
        self.session.close(reason)

    def abort(self, reason: iocp.Reason = iocp.Reason.PROTOCOL) -> None:
        """As `iocp.Session.abort`."""
        self.session.abort(reason)

    def keep(self, packet: bytes) -> None:
        """A packet is being sent to it."""
        kept = self._kept
        kept.append(packet)
        if len(kept) >= _MOST_KEPT:
            self._digest_kept()

    def forget(self) -> None:
        """What waits to be digested need not be."""
        self._kept.clear()

    def check(self) -> Sent | None:
        """What was sent so far; None if it is what it was when this was asked last."""
        self._digest_kept()
        if self.size == self._noted:
            return None
        self._noted = self.size
        return Sent(self.id, self.size, int.from_bytes(self._digest.digest()[:4]))

    def total(self) -> Total:
        """All that was sent."""
        self._digest_kept()
        return Total(self.id, self.size, self._digest.digest())

    def _digest_kept(self) -> None:
        if self._kept:
            sent = b"".join(self._kept)
            self._kept.clear()
            self.size += len(sent)
            self._digest.update(sent)


class _RecordedEngine:
    """What the game needs of an engine, for recorded sessions."""

    def __init__(self, engine: iocp.Engine) -> None:
        self.call_every = engine.call_every
        self._multicast = engine.multicast

    def multicast(self, sessions: Iterable[RecordedSession], packet: bytes) -> int:
        """As `iocp.Engine.multicast`."""
        receivers = []
        for session in sessions:
            session.keep(packet)
            receivers.append(session.session)
        return self._multicast(receivers, packet)


class RecordingServer(ChessServer):
    """A chess server whose events are written to `recording`; otherwise as `ChessServer`, whose keyword arguments it takes.

    world: as its `Setting` builds it, with the players known at the start in `world.records`.
    """

    def __init__(
        self, world: World, *, recording: Tape, clock: Callable[[], float] = time.perf_counter, **options: Any
    ) -> None:
        super().__init__(world, clock=self._event_time, **options)
        self._tape = recording
        self._real_clock = clock
        self._now = 0.0
        self._recording = False
        """From the start to the stop."""
        self._sessions: dict[int, RecordedSession] = {}
        self._asked_for: set[str] = set()
        """Names whose record, if there was one at the start, is on the tape."""
        self._events = self._since_check = 0

    def _event_time(self) -> float:
        return self._now

    def _note(self, kind: Callable[..., Event], *fields: object) -> None:
        """An event begins. After the stop nothing is noted, but the clock goes on."""
        self._now = now = self._real_clock()
        if self._recording:
            if self._since_check == CHECK_EVENTS:
                self._check()
            self._since_check += 1
            self._events += 1
            self._tape.write(kind(now, *fields))

    def _check(self) -> None:
        self._since_check = 0
        sessions = self._sessions.values()
        if self._tape.failed:
            for session in sessions:
                session.forget()
            return
        found = [session.check() for session in sessions]
        self._tape.write(Check(tuple(sent for sent in found if sent is not None)))

    # The library's side

    def on_start(self, server: iocp.Engine) -> None:
        """The recording begins. Raises ValueError as `ChessServer.on_start`, and then it does not."""
        refuse_overlap(server)
        self._tape.begin()
        self._recording = True
        self._note(Started, fingerprint(self.world))
        super().on_start(cast(iocp.Engine, _RecordedEngine(server)))

    def on_connect(self, session: iocp.Session) -> None:
        """The game gets to know the session that digests what it is sent."""
        recorded = RecordedSession(session)
        self._sessions[session.id] = recorded
        self._note(Connected, session.id, *recorded.address)
        super().on_connect(cast(iocp.Session, recorded))
        # The player knows the recorded session, which need not know the player.
        session.data, recorded.data = recorded.data, None

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        """One whole packet of a client."""
        player: Player = session.data
        if not player.online:
            self._note_known(packet)
        self._note(Received, session.id, packet)
        super().on_packet(session, packet)

    def _note_known(self, packet: bytes) -> None:
        """If this is the first login under its name, its record is one of those that were there at the start."""
        try:
            request = parse_client(packet)
            if not isinstance(request, Login):
                return
            name = decode_name(request.name, self._name_encoding)
        except ProtocolError:
            return  # It will cut the connection.
        record = self.world.records.get(name)
        if name not in self._asked_for and self._recording:
            self._asked_for.add(name)
            if record is not None:
                self._tape.write(Known(name, record.x, record.y, record.hp, record.level, record.exp))

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        """A session's sum is known."""
        self._note(Ended, session.id, int(reason))
        super().on_disconnect(session, reason)
        recorded = self._sessions.pop(session.id)
        if self._recording:
            self._tape.write(recorded.total())

    def on_stop(self, server: iocp.Engine) -> None:
        """The recording ends with the sums of all who are still here."""
        self._note(Stopped)
        super().on_stop(server)
        self._check()
        for session in self._sessions.values():
            self._tape.write(session.total())
        self._tape.write(Finished(self._events))
        self._recording = False

    def install_script(self, script: str, text: str | None) -> None:
        """A script of the monsters changed."""
        self._note(ScriptChanged, script, text)
        super().install_script(script, text)

    def _tick(self) -> None:
        self._note(Ticked)
        super()._tick()


def fingerprint(world: World) -> int:
    """Tells one newly built world from another: by its obstacles and how its monsters were placed, which took its random."""
    return zlib.crc32(repr(world.generator.getstate()).encode(), world.terrain.checksum)
