"""One run: players come (ramp), are measured (hold), are waited for (drain).

    run = Run(settings)
    for snapshot in run.snapshots():       # one for each interval; the last one when the run has ended
        ...
    report = Report(settings, run.history, run.outcome())

Everything about players happens on the engine's one worker, in native code; this handler comes in when a connection begins or
ends, and fifty times a second to look at the clock. `stop()` may be called on any thread and in signal handlers.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from random import Random
from typing import Any, Final

from .._iocpcore import Client, Engine, Session, clock
from ..handler import Handler
from ..reason import Reason
from .clock import fine_clock
from .findings import REFUSED, SKIPPED, UNANSWERED, name_of_end, sentence
from .server import ServerWatch
from .settings import Settings
from .snapshot import Figures, Phase, Snapshot

_LOOK: Final = 0.02
"""Seconds between two looks at the clock."""
_MOST_AT_ONCE: Final = 200
"""Connections begun in one look: what follows from them has its turn in between."""
_LONGEST_DRAIN: Final = 5.0
"""Seconds that unanswered sends are waited for at the end; what has not come then counts with its age."""
_MOST_POSITIONS: Final = 2000
"""In a snapshot: enough for a map."""


@dataclass
class Outcome:
    """What a run found besides its figures."""

    backend: str
    interrupted: bool = False
    ended_early: bool = False
    """No player was left."""
    hold_seconds: float = 0.0
    """How long the measured window was."""
    most_playing: int = 0
    """Players logged in at once."""
    examples: dict[str, str] = field(default_factory=dict)
    """A sentence for each kind of violation."""


class Run(Handler):
    """See above. Raises ValueError or TypeError for settings that cannot be, RuntimeError for a backend that does not work."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        interval = 1 / settings.rate if settings.rate and not settings.window else 0.0
        self._crowd = settings.protocol.crowd(seed=settings.seed, interval=interval, window=settings.window)
        self._client = Client(self, backend=settings.backend, framing=settings.protocol.framing, coalesce=0.0)
        self._crowd.attach(self._client)
        self._queue: SimpleQueue[Snapshot | BaseException | None] = SimpleQueue()
        self._random = Random(settings.seed)
        self._outcome = Outcome(self._client.backend)
        # Of several processes one watches the server.
        self._watch = ServerWatch(settings.host, settings.port) if not settings.first_player else None
        self._stop_asked = False
        self._phase: Phase = "ramp"
        self._done = False
        self._sessions: dict[int, Session] = {}
        """The connection of each player that has one."""
        self._started = 0
        self._churned = 0
        self._errors: Counter[str] = Counter()
        self._login_ends: deque[tuple[float, Session]] = deque()
        self._returns: deque[tuple[float, int]] = deque()
        self._began = self._hold_began = self._hold_ends = self._drain_ends = 0.0
        self._received_before = -1
        self._last: dict[str, Any] = {}
        """The counters at the last snapshot."""
        self.history: list[Snapshot] = []
        """All snapshots so far."""

    # For the program that runs it

    def snapshots(self) -> Iterator[Snapshot]:
        """Run; yields a snapshot for each interval as it ends. Raises what went wrong inside the generator itself."""
        with fine_clock():
            self._client.start()
            try:
                while (found := self._wait()) is not None:
                    self.history.append(found)
                    yield found
            finally:
                self._client.stop(10.0)

    def stop(self) -> None:
        """End the run now, with what was measured so far."""
        self._stop_asked = True

    def outcome(self) -> Outcome:
        """After the last snapshot."""
        return self._outcome

    def _wait(self) -> Snapshot | None:
        while True:
            try:
                found = self._queue.get(timeout=0.1)  # not for ever: Windows lets no signal into a wait
            except Empty:
                continue
            if isinstance(found, BaseException):
                raise found
            return found

    # On the worker

    def on_start(self, server: Engine) -> None:
        """Look at the clock from now on."""
        server.call_every(_LOOK, self._look)

    def on_connect(self, session: Session) -> None:
        """A player's connection stands: it logs in."""
        self._crowd.join(session, session.data)
        if self.settings.protocol.login:
            self._login_ends.append((clock() + self.settings.timeout, session))

    def on_disconnect(self, session: Session, reason: Reason) -> None:
        """A player has gone, or never came."""
        number: int = session.data
        name = name_of_end(session, reason, self._crowd.playing(number))
        if name and self._crowd.counts()["refused"] > self._errors[REFUSED]:
            name = REFUSED
        if name:
            self._errors[name] += 1
        self._crowd.part(session, name is not None)
        if self._sessions.get(number) is session:
            del self._sessions[number]

    def _look(self) -> None:
        try:
            if not self._done:
                self._step(clock())
        except BaseException as error:
            self._done = True
            self._queue.put(error)

    def _step(self, now: float) -> None:
        if not self._last:
            self._began = now
            self._last = self._counters(now)
        playing = self._crowd.counts()["playing"]
        self._outcome.most_playing = max(self._outcome.most_playing, playing)
        if self._stop_asked and self._phase != "drain":
            self._outcome.interrupted = True
            self._drain(now)
        elif self._phase == "ramp":
            self._begin_connections(now)
            self._end_slow_logins(now)
            if self._started == self.settings.clients and len(self._sessions) == playing:
                self._hold(now)
        elif self._phase == "hold":
            self._end_slow_logins(now)
            self._churn(now)
            if now >= self._hold_ends:
                self._drain(now)
            elif not self._sessions and not self._returns:
                self._outcome.ended_early = True
                self._drain(now)
        if self._phase == "drain" and self._is_drained(now):
            self._finish(now)
        elif now >= self._last["at"] + self.settings.interval:
            self._report(now)

    def _begin_connections(self, now: float) -> None:
        settings = self.settings
        due = settings.clients if settings.ramp is None else int((now - self._began) * settings.ramp) + 1
        for _ in range(min(due, settings.clients, self._started + _MOST_AT_ONCE) - self._started):
            self._connect(settings.first_player + self._started)
            self._started += 1

    def _connect(self, number: int) -> None:
        settings = self.settings
        try:
            self._sessions[number] = self._client.connect(
                settings.host, settings.port, timeout=settings.timeout, data=number, source=settings.source_of(number)
            )
        except OSError as error:
            self._errors[f"no connection could be begun: {error}"] += 1

    def _end_slow_logins(self, now: float) -> None:
        while self._login_ends and self._login_ends[0][0] <= now:
            _, session = self._login_ends.popleft()
            if not session.closed and not self._crowd.playing(session.data):
                self._errors[f"login not answered within {self.settings.timeout:g} s"] += 1
                session.close()

    def _churn(self, now: float) -> None:
        while self._returns and self._returns[0][0] <= now:
            self._connect(self._returns.popleft()[1])
        for _ in range(int((now - self._hold_began) * self.settings.churn) - self._churned):
            number = self.settings.first_player + self._random.randrange(self.settings.clients)
            self._churned += 1
            if self._crowd.playing(number) and not self._sessions[number].closed:
                self._sessions[number].close()
                self._returns.append((now + 1.0, number))

    def _hold(self, now: float) -> None:
        self._report(now)
        self._phase = "hold"
        self._hold_began = now
        self._hold_ends = now + self.settings.duration
        self._crowd.measure(now, self._hold_ends)
        self._crowd.end(self._hold_ends)

    def _drain(self, now: float) -> None:
        self._report(now)
        if self._phase == "ramp":
            self._hold_began = now
        self._outcome.hold_seconds = min(now, self._hold_ends) - self._hold_began if self._phase == "hold" else 0.0
        # Of an interrupted window what was planned until now is measured.
        self._crowd.measure(self._hold_began, min(now, self._hold_ends) if self._hold_ends else now)
        self._crowd.end(min(now, self._hold_ends) if self._hold_ends else now)
        self._phase = "drain"
        self._drain_ends = now + min(_LONGEST_DRAIN, self.settings.timeout)

    def _is_drained(self, now: float) -> bool:
        """All answers are here, and what others were told of the last moves as well; or it took too long."""
        received = self._crowd.counts()["packets"]
        quiet = received == self._received_before
        self._received_before = received
        return now >= self._drain_ends or (quiet and self._crowd.waiting()[0] == 0)

    def _finish(self, now: float) -> None:
        self._done = True
        self._crowd.give_up()
        self._report(now)
        self._outcome.examples = self._examples()
        self._queue.put(None)

    def _examples(self) -> dict[str, str]:
        return {name: sentence(name, example) for name, example in self._crowd.examples().items()}

    def _counters(self, now: float) -> dict[str, Any]:
        return {
            **self._crowd.counts(),
            "at": now,
            "started": self._started,
            "churned": self._churned,
            "errors": self._errors.copy(),
            "cpu": time.thread_time(),
            "process_cpu": time.process_time(),
        }

    def _report(self, now: float) -> None:
        """The snapshot of the interval that ends now."""
        before, after = self._last, self._counters(now)
        measured, others = map(Figures.of, self._crowd.take_figures())
        errors = after["errors"] - before["errors"]
        for name, count in ((UNANSWERED, measured.unanswered + others.unanswered), (SKIPPED, measured.skipped + others.skipped)):
            if count:
                errors[name] += count
        added = {
            name: after[name] - before[name]
            for name in (
                "started", "churned", "packets", "received", "bytes", "relocated", "fanout_unmatched", "cpu", "process_cpu",
            )
        }  # fmt: skip
        violations = Counter(after["violations"]) - Counter(before["violations"])
        self._last = after
        self._queue.put(
            Snapshot(
                at=now - self._began,
                seconds=now - before["at"],
                phase=self._phase,
                playing=after["playing"],
                errors=errors,
                violations=violations,
                examples=self._examples() if errors or violations else {},
                measured=measured,
                others=others,
                course_delay=after["smoothed"],
                positions=self._crowd.positions(_MOST_POSITIONS),
                server=self._watch.sample() if self._watch is not None else None,
                **added,
            )
        )
