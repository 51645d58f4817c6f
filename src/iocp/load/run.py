"""One run: players come (ramp), are measured (hold), are waited for (drain); once, in several stages, or in a search.

    run = Run(settings)
    for snapshot in run.snapshots():       # one for each interval; the last one when the run has ended
        ...
    report = Report(settings, run.history, run.outcome(), objectives)

The run gives orders to generators (`crew.py`) and adds up what they report. It goes on in the thread that asks for the snapshots,
which does nothing for each packet. `stop()` may be called on any thread and in signal handlers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

from .._iocpcore import clock
from .crew import Crew, GeneratorDied
from .generator import Status
from .search import Judgement, Search, Step
from .settings import FindMax, Settings
from .snapshot import Phase, Snapshot
from .stage import Totals

_LEAD: Final = 0.1
"""Seconds between an order and the time that it names: until then all have it. A window that had begun before the order came would
have answers to sends that it does not have: how much later it came is told (Snapshot.order_late)."""
_LONGEST_DRAIN: Final = 5.0
"""Seconds that unanswered sends are waited for at the end; what has not come then counts with its age. So long again all have to be told
where the others are: a server may tell of crowds at ticks."""
_LONGEST_RECOVERY: Final = 30.0
"""Seconds for a server that failed a step to answer what it owes, before the next one."""
_QUIET: Final = 0.05
"""Seconds without a packet after which none is under way."""
_OWED: Final = 0.05
"""Seconds: an answer that is younger is no debt."""


@dataclass
class Outcome:
    """What a run found besides its figures."""

    backend: str
    interrupted: bool = False
    ended_early: bool = False
    """No player was left; of a search, nobody could log in."""
    hold_seconds: float = 0.0
    """How long the measured windows were."""
    most_playing: int = 0
    """Players logged in at once."""
    examples: dict[str, str] = field(default_factory=dict)
    """A sentence for each kind of violation."""
    failures: list[str] = field(default_factory=list)
    """Of generators: the run proves nothing then."""
    search: Search | None = None
    judged: list[Totals] = field(default_factory=list)
    """What each step of the search was judged by."""


class _Interrupted(Exception):
    """Somebody has called `stop()`."""


class Run:
    """See above. Raises ValueError or TypeError for settings that cannot be, RuntimeError for a backend that does not work."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.crew = Crew(settings)
        self._outcome = Outcome(self.crew.backend)
        self._stop_asked = self._is_ending = False
        self._phase: Phase = "ramp"
        self._stage = -1
        self._wanted = self._most_in_stage = 0
        self._began = self._next_report = self._hold_began = self._hold_ends = 0.0
        self._window = 0.0
        self._unreported = 0
        self._note = ""
        self.history: list[Snapshot] = []
        """All snapshots so far."""

    # For the program that runs it

    def snapshots(self) -> Iterator[Snapshot]:
        """Run; yields a snapshot for each interval as it ends."""
        try:
            self.crew.start()
            try:
                yield from self._until(lambda status: True)
                yield from self._play()
            except _Interrupted:
                self._outcome.interrupted = self._is_ending = True
                yield from self._cut_short()
        except GeneratorDied as death:
            self._outcome.failures.append(str(death))
        finally:
            self.crew.stop()

    def stop(self) -> None:
        """End the run now, with what was measured so far."""
        self._stop_asked = True

    def outcome(self) -> Outcome:
        """After the last snapshot."""
        return self._outcome

    # What is played

    def _play(self) -> Iterator[Snapshot]:
        if self.settings.find_max is not None:
            yield from self._search(self.settings.find_max)
            return
        plan = self.settings.plan
        for index, stage in enumerate(plan):
            yield from self._come(stage.clients)
            yield from self._hold(stage.seconds, last=index == len(plan) - 1)
            if self._outcome.ended_early:
                break

    def _search(self, wanted: FindMax) -> Iterator[Snapshot]:
        search = Search(wanted.start, wanted.limit, wanted.precision, wanted.confirmations)
        self._outcome.search = search
        step = search.next()
        while step is not None:
            yield from self._come(step.clients, fresh=step.fresh)
            yield from self._wait_seconds(wanted.settle if self._most_in_stage else 0.0)
            yield from self._hold(wanted.hold if step.kind == "probe" else wanted.confirm_hold, last=False, pause=True)
            found = self.totals(self._stage)
            judgement = judged(found, step)
            search.record(step, judgement)
            self._outcome.judged.append(found)
            self._note = sentence_of(step, judgement, found)
            if not self._most_in_stage:
                # No server, or none that lets anybody in: with fewer players it is the same.
                self._outcome.ended_early = True
                break
            step = search.next()
            if judgement != "held":
                yield from self._back_off(search.held or 0)
        self._is_ending = True
        yield from self._order("end", clock())
        # Players have gone on since the last step: what they sent then is not unanswered because the search is over.
        yield from self._drain_answers()
        yield from self._finish(False)

    def totals(self, stage: int) -> Totals:
        """What the snapshots of one stage came to, with the search's objectives."""
        objectives = self.settings.find_max.objectives if self.settings.find_max is not None else ()
        return Totals(
            [snapshot for snapshot in self.history if snapshot.stage == stage], self.settings.lateness_limit, objectives
        )

    def _come(self, clients: int, *, fresh: bool = False) -> Iterator[Snapshot]:
        """The next stage: so many players come, or leave."""
        if fresh:
            yield from self._have(0)
        if self._stage >= 0:
            yield from self._report()
        self._stage += 1
        self._most_in_stage = 0
        self._phase = "ramp"
        yield from self._have(clients)

    def _have(self, clients: int) -> Iterator[Snapshot]:
        self._wanted = clients
        at = clock() + _LEAD
        if not self._began:
            self._began = at
            self._next_report = at + self.settings.interval
        yield from self._order("players", clients, at, self.settings.ramp)
        yield from self._until(lambda status: status.settled)

    def _hold(self, seconds: float, *, last: bool, pause: bool = False) -> Iterator[Snapshot]:
        """Measure. `pause`: players stop behind it, so that what they see can be compared with where they are, and then go on."""
        yield from self._report()
        self._phase = "hold"
        begin = clock() + _LEAD
        self._hold_began, self._hold_ends = begin, begin + seconds
        self.crew.tell("measure", begin, self._hold_ends)
        if last or pause:
            self.crew.tell("end", self._hold_ends)
        yield from self._until(lambda status: status.connected == 0 or clock() >= self._hold_ends)
        if clock() < self._hold_ends:
            self._outcome.ended_early = last
            self._close_window(end=last or pause)
        yield from self._report_window()
        self._is_ending = last
        if last:
            yield from self._finish((yield from self._drain_all()))
        elif pause:
            yield from self._settle((yield from self._drain_all(quiet=False)), final=True)
            yield from self._order("resume")
        else:
            yield from self._drain_window()
            yield from self._settle(False)

    def _drain_all(self, *, quiet: bool = True) -> Generator[Snapshot, None, bool]:
        """All answers are here (`quiet`: and nothing else comes any more), and all see the others where they are; or it took too long.

        Returns whether somebody is not seen where it is.
        """
        yield from self._drain_answers(quiet=quiet)
        # At one moment at least: the server may move somebody at any time, and one of two hears of that first.
        yield from self._order("compare", True)
        agree = yield from self._until(lambda status: status.stale == 0, self._longest_drain)
        self.crew.tell("compare", False)
        self.crew.tell("watch", False)
        return not agree

    def _drain_answers(self, *, quiet: bool = False) -> Iterator[Snapshot]:
        """All answers are here (`quiet`: and nothing else comes any more), or it took too long. They are counted on."""
        self._phase = "drain"
        packets, since = -1, clock()

        def is_drained(status: Status) -> bool:
            nonlocal packets, since
            if status.packets != packets:
                packets, since = status.packets, clock()
            return status.waiting == 0 and (not quiet or clock() - since >= _QUIET)

        yield from self._order("watch", True)
        yield from self._until(is_drained, self._longest_drain)

    def _drain_window(self) -> Iterator[Snapshot]:
        """The same of the window alone, while players go on."""
        self._phase = "drain"
        yield from self._order("watch", True)
        yield from self._until(lambda status: status.waiting >= 0 and status.measured_waiting == 0, self._longest_drain)
        self.crew.tell("watch", False)

    def _settle(self, accuse: bool, *, final: bool = False) -> Iterator[Snapshot]:
        """The window is over, the run is not. `accuse`, `final`: see Generator."""
        self.crew.tell("settle", self._stage, accuse, final)
        self._unreported += 1
        self._hold_ends = 0.0
        yield from self._until(lambda status: self._unreported == 0)

    def _back_off(self, clients: int) -> Iterator[Snapshot]:
        """Of a failed step players leave, and the server gets time to answer what it owes. Part of that step."""
        yield from self._have(clients)
        yield from self._order("watch", True)
        yield from self._until(lambda status: status.waiting >= 0 and status.oldest < _OWED, _LONGEST_RECOVERY)
        self.crew.tell("watch", False)

    def _cut_short(self) -> Iterator[Snapshot]:
        """After an interruption: what was sent is waited for, and nothing else is sent."""
        now = clock()
        if self._hold_ends and self._phase == "hold":
            self._close_window(end=True)
            yield from self._report_window()
        if self._stage >= 0:
            self.crew.tell("players", self._wanted, math.inf, None)  # nobody else comes
            yield from self._order("end", now)
            yield from self._finish((yield from self._drain_all()))

    def _close_window(self, *, end: bool) -> None:
        """Now, and not when it would have ended: what was planned until now is measured. `end`: and no more is planned."""
        self._hold_ends = max(clock(), self._hold_began)
        self.crew.tell("close", end)

    def _finish(self, accuse: bool) -> Iterator[Snapshot]:
        self.crew.tell("finish", self._stage, accuse)
        self._unreported += 1
        yield from self._until(lambda status: self._unreported == 0)

    # Waiting, in which all snapshots come to light

    @property
    def _longest_drain(self) -> float:
        return min(_LONGEST_DRAIN, self.settings.timeout)

    def _order(self, order: str, *arguments: object) -> Iterator[Snapshot]:
        """Give it, and wait until all have it."""
        self.crew.tell(order, *arguments)
        yield from self._until(lambda status: True)

    def _report(self) -> Iterator[Snapshot]:
        """The interval ends now, all have told of it."""
        self._ask_for_report()
        yield from self._until(lambda status: self._unreported == 0)

    def _report_window(self) -> Iterator[Snapshot]:
        """The same at the end of the measured window."""
        self._window = self._hold_ends - self._hold_began
        self._outcome.hold_seconds += self._window
        yield from self._report()

    def _wait_seconds(self, seconds: float) -> Iterator[Snapshot]:
        ends = clock() + seconds
        yield from self._until(lambda status: clock() >= ends)

    def _until(self, is_so: Callable[[Status], bool], longest: float = math.inf) -> Generator[Snapshot, None, bool]:
        """Wait until that is so, or for that many seconds; returns whether it is. `is_so` is asked when all have obeyed all orders."""
        ends = clock() + longest
        while True:
            self.crew.listen(0.05)
            while (found := self.crew.report()) is not None:
                yield self._kept(found)
            if self._stop_asked and not self._is_ending:
                raise _Interrupted
            status = self.crew.status
            if status is not None:
                self._most_in_stage = max(self._most_in_stage, status.playing)
                self._outcome.most_playing = max(self._outcome.most_playing, status.playing)
                if is_so(status):
                    return True
            now = clock()
            if now >= ends:
                return False
            if self._began and now >= self._next_report and not self._unreported:
                self._ask_for_report()

    def _ask_for_report(self) -> None:
        self._next_report = clock() + self.settings.interval
        self._unreported += 1
        self.crew.tell("report", self._phase, self._stage)

    def _kept(self, snapshot: Snapshot) -> Snapshot:
        self._unreported -= 1
        snapshot.at -= self._began
        snapshot.wanted = self._wanted
        snapshot.note, self._note = self._note, ""
        if snapshot.phase == "hold" and not self._unreported:
            snapshot.window, self._window = self._window, 0.0
        for name, example in snapshot.examples.items():
            self._outcome.examples.setdefault(name, example)
        self.history.append(snapshot)
        return snapshot


def judged(found: Totals, step: Step) -> Judgement:
    """What a step of the search came to. Of a late generator nothing is the server's failure."""
    if found.invalid:
        return "invalid"
    return "held" if found.held and found.present >= step.clients else "failed"


def sentence_of(step: Step, judgement: Judgement, found: Totals) -> str:
    """A step in words."""
    p99 = found.latency["p99"]
    errors = f"{found.errors.total():,} errors"
    if found.errors:
        name, count = found.errors.most_common(1)[0]
        errors += f", {count:,} x {name}"
    return (
        f"{step.clients:,} players {'confirmed' if step.kind == 'confirm' and judgement == 'held' else judgement}"
        f" (p99 {'-' if p99 is None else f'{p99:,.1f} ms'}, course's delay {found.course_delay} ms,"
        f" {errors}{''.join(f', {reason}' for reason in found.invalid)})"
    )
