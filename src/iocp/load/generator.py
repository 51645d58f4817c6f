"""The players of one process: they come and go as they are told, and are counted.

A generator decides nothing. It obeys orders (`tell`), and says fifty times a second how things stand (`Status`); an order to report
is answered with a `Snapshot`, in the order in which they were given. `run.py` gives the orders, to this process's one generator or, over
pipes, to those of several processes (`crew.py`). All times are those of the core's `clock()`, the same in all processes.

Everything about players happens on the engine's one worker, in native code; this handler comes in when a connection begins or
ends, and at each look at the clock.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

from .._iocpcore import Client, Engine, Session, clock
from ..handler import Handler
from ..reason import Reason
from .findings import REFUSED, SKIPPED, UNANSWERED, name_of_end, name_of_failed_begin, sentence
from .server import ServerWatch
from .settings import Settings
from .snapshot import Figures, Phase, Snapshot

_log: Final = logging.getLogger("iocp.load")
_LOOK: Final = 0.02
"""Seconds between two looks at the clock."""
_WATCH: Final = 0.1
"""Seconds between two counts of what is unanswered, for which all players are gone through."""
_MOST_AT_ONCE: Final = 200
"""Connections begun or ended in one look: what follows from them has its turn in between."""
_LONGEST_LEAVE: Final = 5.0
"""Seconds that a player who leaves by itself waits for its last answers. To leave at once would take the slowest ones out of the figures."""
_MOST_POSITIONS: Final = 2000
"""In a snapshot: enough for a map."""
_ADDED: Final = ("started", "churned", "packets", "received", "bytes", "relocated", "fanout_unmatched", "cpu", "process_cpu")
"""Counters of which a snapshot has what was added."""


class Status(NamedTuple):
    """How things stand with one generator."""

    orders: int = 0
    """How many it has obeyed."""
    settled: bool = False
    """All players that it was told to have are playing, or have failed to; and nobody is still leaving."""
    connected: int = 0
    """Connections, and players that are to come back."""
    playing: int = 0
    packets: int = 0
    waiting: int = -1
    """Sends that are unanswered; -1: not counted since the last order."""
    measured_waiting: int = -1
    """... of those planned in the measured window."""
    oldest: float = 0.0
    """Seconds since the plan of the one that waits the longest."""
    stale: int = -1
    """How many in sight of players were last seen where they are not; -1: not counted since the last order."""


Told = Status | Snapshot | BaseException
"""What a generator says."""


class Generator(Handler):
    """Player `share` of each `settings.processes`. Makes no connection before it is told to.

    `said` is called with each `Told`, on the worker's thread. Raises ValueError or TypeError for settings that cannot be, RuntimeError
    for a backend that does not work.
    """

    def __init__(self, settings: Settings, share: int, said: Callable[[Told], object]) -> None:
        self._settings = settings
        self._share = share
        self._said = said
        interval = 1 / settings.rate if settings.rate and not settings.window else 0.0
        self._crowd = settings.protocol.crowd(seed=settings.seed, interval=interval, window=settings.window)
        self._client = Client(self, backend=settings.backend, framing=settings.protocol.framing, coalesce=0.0)
        self._crowd.attach(self._client)
        self._watch: ServerWatch | None = None
        self._random = Random(settings.seed + share)
        self._failed = False
        self._orders = 0
        self._sessions: dict[int, Session] = {}
        """The connection of each player that has one, by the player's number."""
        self._wanted = 0
        self._agenda: deque[int] = deque()
        """Players that are to come, or to go if there are more than wanted: indexes, see `_number`."""
        self._agenda_began = 0.0
        self._agenda_rate: float | None = None
        self._agenda_done = 0
        self._leaving: set[int] = set()
        self._started = self._churned = self._churned_in_window = 0
        self._order_late = 0.0
        self._errors: Counter[str] = Counter()
        self._login_ends: deque[tuple[float, Session]] = deque()
        self._quitting: dict[int, float] = {}
        """Players that leave as soon as they have their answers, and when they do in any case."""
        self._owed: set[int] = set()
        """Those of them that did not get them."""
        self._returns: deque[tuple[float, int]] = deque()
        """Players that have left to come back: when, and who."""
        self._returning: set[int] = set()
        """... and are on their way back."""
        self._from = self._until = 0.0
        self._last: dict[str, Any] = {}
        """The counters at the last snapshot."""
        self._watching = False
        self._watched = 0.0
        self._waiting = (-1, -1, 0.0)
        self._comparing = False
        self._stale = -1

    @property
    def backend(self) -> str:
        """Of its engine."""
        return self._client.backend

    def start(self) -> None:
        """Look at the clock from now on."""
        # Of several processes one watches the server. It looks for it here, where there are no connections yet to look through.
        if not self._share:
            self._watch = ServerWatch(self._settings.host, self._settings.port)
        self._client.start()

    def request_stop(self) -> None:
        """Nothing is said any more."""
        self._failed = True

    def stop(self) -> None:
        """End all connections; nothing is said any more."""
        self._failed = True
        self._client.stop(10.0)

    def tell(self, order: str, *arguments: Any) -> None:
        """Obey one of the orders below, soon. On any thread."""
        self._client.post(self._obey, order, arguments)

    # Orders

    def _players(self, count: int, at: float, rate: float | None) -> None:
        """Have so many players, of those of all processes: from `at` on, `rate` of them per second (None: at once) come or go.

        Players that were lost come back.
        """
        settings = self._settings
        share = (count - self._share + settings.processes - 1) // settings.processes
        before, self._wanted = self._wanted, share
        kept = (index for index in range(share) if self._number(index) not in self._sessions)
        gone = (index for index in reversed(range(share, before)) if self._number(index) in self._sessions)
        self._agenda = deque([*gone, *kept])
        self._agenda_began = at
        self._agenda_rate = None if rate is None else rate / settings.processes
        self._agenda_done = 0
        self._returns.clear()  # they are among those, as far as they are still wanted
        for number in self._quitting:
            self._crowd.stay(number)
        self._quitting.clear()

    def _measure(self, begin: float, until: float) -> None:
        self._from, self._until, self._churned_in_window = begin, until, 0
        self._order_late = max(0.0, clock() - begin)
        self._crowd.measure(begin, until)

    def _end(self, at: float) -> None:
        """Plan no sends from then on, and let nobody come any more."""
        self._crowd.end(at)
        self._agenda = deque(index for index in self._agenda if index >= self._wanted)

    def _close(self, end: bool) -> None:
        """Measure no longer what is planned from now on; `end`: and plan no more."""
        # By the clock of this thread: an order that named a time would come after some sends that it should have forbidden.
        self._until = max(self._from, min(self._until, clock()))
        self._crowd.measure(self._from, self._until)
        if end:
            self._crowd.end(self._until)

    def _watch_answers(self, on: bool) -> None:
        """Count from now on what is unanswered."""
        self._watching, self._watched = on, 0.0

    def _compare(self, on: bool) -> None:
        """Count from now on who was last seen where it is not: for when nobody moves any more."""
        self._comparing, self._watched = on, 0.0

    def _resume(self) -> None:
        """Plan sends again."""
        self._crowd.resume()

    def _report(self, phase: Phase, stage: int) -> None:
        self._said(self._snapshot(phase, stage))

    def _settle(self, stage: int, accuse: bool, final: bool) -> None:
        """Close the window, and report it; players go on. `accuse`: who is seen where it is not by now is a violation.

        `final`: what is unanswered by now is an error.
        """
        if accuse:
            self._crowd.stale(True)
        pending = self._crowd.settle(final)
        snapshot = self._snapshot("drain", stage)
        snapshot.measured.pending = pending
        self._said(snapshot)

    def _finish(self, stage: int, accuse: bool) -> None:
        """Close the window for good: what is unanswered was never answered. `accuse`: and who is seen where it is not will be for ever."""
        if accuse:
            self._crowd.stale(True)
        self._crowd.give_up()
        self._said(self._snapshot("drain", stage))

    # On the worker

    def _obey(self, order: str, arguments: tuple[Any, ...]) -> None:
        try:
            self._count_from_now()
            orders: dict[str, Callable[..., None]] = {
                "players": self._players,
                "measure": self._measure,
                "close": self._close,
                "end": self._end,
                "watch": self._watch_answers,
                "compare": self._compare,
                "resume": self._resume,
                "report": self._report,
                "settle": self._settle,
                "finish": self._finish,
            }
            orders[order](*arguments)
            self._orders += 1
            self._waiting = (-1, -1, 0.0)
            self._stale = -1
        except BaseException as error:
            self._fail(error)

    def on_start(self, server: Engine) -> None:
        """Look at the clock from now on."""
        server.call_every(_LOOK, self._look)

    def on_connect(self, session: Session) -> None:
        """A player's connection stands: it logs in."""
        self._crowd.join(session, session.data)
        if self._settings.protocol.login:
            self._login_ends.append((clock() + self._settings.timeout, session))

    def on_disconnect(self, session: Session, reason: Reason) -> None:
        """A player has gone, or never came."""
        number: int = session.data
        name = name_of_end(session, reason, self._crowd.playing(number))
        if name and self._crowd.refused(number):
            name = REFUSED
        if name:
            self._errors[name] += 1
        self._crowd.part(session, name is not None or number in self._owed)
        self._owed.discard(number)
        self._leaving.discard(number)
        self._returning.discard(number)
        if self._sessions.get(number) is session:
            del self._sessions[number]

    def _look(self) -> None:
        try:
            if not self._failed:
                self._step(clock())
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        _log.error("the generator failed", exc_info=error)
        self._said(error)

    def _step(self, now: float) -> None:
        self._count_from_now()
        self._come_and_go(now)
        self._end_slow_logins(now)
        self._churn(now)
        playing = self._crowd.counts()["playing"]
        if self._watching and now >= self._watched + _WATCH:
            self._watched = now
            self._waiting = self._crowd.waiting()
            if self._comparing:
                self._stale = self._crowd.stale(False)
        settled = not self._agenda and not self._leaving and len(self._sessions) == playing
        connected = len(self._sessions) + len(self._returns)
        self._said(Status(self._orders, settled, connected, playing, self._crowd.counts()["packets"], *self._waiting, self._stale))

    def _number(self, index: int) -> int:
        """Of one's own player `index`: those of all processes are numbered in turn, so that they are without gaps at any count."""
        return self._settings.first_player + self._share + index * self._settings.processes

    def _come_and_go(self, now: float) -> None:
        if not self._agenda or now < self._agenda_began:
            return
        rate = self._agenda_rate
        due = len(self._agenda) if rate is None else int((now - self._agenda_began) * rate) + 1 - self._agenda_done
        for _ in range(min(due, len(self._agenda), _MOST_AT_ONCE)):
            index = self._agenda.popleft()
            number = self._number(index)
            self._agenda_done += 1
            if index < self._wanted:
                if number not in self._sessions:
                    self._started += 1
                    self._connect(number)
            elif (session := self._sessions.get(number)) is not None:
                self._leaving.add(number)
                session.close()

    def _connect(self, number: int) -> None:
        settings = self._settings
        try:
            self._sessions[number] = self._client.connect(
                settings.host, settings.port, timeout=settings.timeout, data=number, source=settings.source_of(number)
            )
        except OSError as error:
            self._errors[name_of_failed_begin(error)] += 1

    def _end_slow_logins(self, now: float) -> None:
        while self._login_ends and self._login_ends[0][0] <= now:
            _, session = self._login_ends.popleft()
            if not session.closed and not self._crowd.playing(session.data):
                late = f"login not answered within {self._settings.timeout:g} s"
                self._errors[REFUSED if self._crowd.refused(session.data) else late] += 1
                session.close()

    def _churn(self, now: float) -> None:
        """Within the window players leave, and come back a second later."""
        self._let_go(now)
        if not self._from <= now < self._until:
            return
        while self._returns and self._returns[0][0] <= now:
            number = self._returns.popleft()[1]
            if number not in self._sessions:
                self._started += 1
                self._returning.add(number)
                self._connect(number)
        rate = self._settings.churn / self._settings.processes
        for _ in range(int((now - self._from) * rate) - self._churned_in_window):
            number = self._number(self._random.randrange(max(self._wanted, 1)))
            self._churned_in_window += 1
            if self._crowd.playing(number) and not self._sessions[number].closed and number not in self._quitting:
                self._crowd.leave(number)
                self._quitting[number] = now + _LONGEST_LEAVE

    def _let_go(self, now: float) -> None:
        """Players who are to leave do as soon as they have their answers."""
        for number, until in list(self._quitting.items()):
            session = self._sessions.get(number)
            waits = self._crowd.waits(number)
            if session is not None and not session.closed and waits and now < until:
                continue
            del self._quitting[number]
            if session is None or session.closed:
                continue  # the server was faster
            if waits:
                self._owed.add(number)
            self._churned += 1
            session.close()
            self._returns.append((now + 1.0, number))

    def _away(self) -> int:
        """How many players have left to come back, and are not back yet."""
        self._returning = {number for number in self._returning if not self._crowd.playing(number)}
        # Who has just been told to leave still plays.
        return len(self._returning) + sum(number not in self._sessions for _, number in self._returns)

    def _count_from_now(self) -> None:
        # Not before: the processor time is that of the worker, which alone can ask for it.
        if not self._last:
            self._last = self._counters(clock())

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

    def _snapshot(self, phase: Phase, stage: int) -> Snapshot:
        """What was added since the last one; `at` is the clock's time."""
        now = clock()
        before, after = self._last, self._counters(now)
        self._last = after
        measured, others = map(Figures.of, self._crowd.take_figures())
        order_late, self._order_late = self._order_late, 0.0
        errors = after["errors"] - before["errors"]
        for name, count in ((UNANSWERED, measured.unanswered + others.unanswered), (SKIPPED, measured.skipped + others.skipped)):
            if count:
                errors[name] += count
        violations = Counter(after["violations"]) - Counter(before["violations"])
        examples = self._crowd.examples()
        # Kinds of errors have examples too: they come once, with the first snapshot behind them.
        wanted = violations or errors
        return Snapshot(
            at=now,
            seconds=now - before["at"],
            phase=phase,
            stage=stage,
            playing=after["playing"],
            returning=self._away(),
            errors=errors,
            violations=violations,
            examples={name: sentence(name, example) for name, example in examples.items()} if wanted else {},
            measured=measured,
            others=others,
            course_delay=after["smoothed"],
            positions=self._crowd.positions(_MOST_POSITIONS),
            order_late=order_late,
            server=self._watch.sample() if self._watch is not None else None,
            **{name: after[name] - before[name] for name in _ADDED},
        )
