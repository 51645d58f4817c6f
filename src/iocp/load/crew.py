"""The generators of a run as one: in this process, or in several of their own."""

from __future__ import annotations

from collections import deque
from functools import reduce
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol

from .._iocpcore import clock
from .generator import Generator, Status, Told
from .process import GeneratorProcess
from .settings import Settings
from .snapshot import Snapshot

_SILENCE: Final = 20.0
"""Seconds without a word after which a process counts as dead; else one says something fifty times a second."""
_START: Final = 60.0
"""... after its start."""


class GeneratorDied(Exception):
    """A generator's process has ended, or failed; the text says which and how."""


class _Member(Protocol):
    """A generator, wherever it is."""

    def start(self) -> None: ...
    def tell(self, order: str, *arguments: Any) -> None: ...
    def request_stop(self) -> None: ...
    def stop(self) -> None: ...


class Crew:
    """`settings.processes` generators that get the same orders.

    One generator runs in this process, several in processes of their own. Used on one thread. Raises what `Generator` raises, in
    this process, so that no process is started for settings that cannot be.
    """

    def __init__(self, settings: Settings) -> None:
        self._heard: SimpleQueue[tuple[int, Told | None]] = SimpleQueue()
        own = Generator(settings, 0, lambda told: self._heard.put((0, told)))
        self.backend: Final = own.backend
        self.members: list[_Member] = [own]
        if settings.processes > 1:
            self.members = [GeneratorProcess(settings, share, self._heard) for share in range(settings.processes)]
        self._statuses: list[Status | None] = [None] * len(self.members)
        self._silent_until = [0.0] * len(self.members)
        self._reports: list[deque[Snapshot]] = [deque() for _ in self.members]
        self._orders = 0

    def start(self) -> None:
        """Start all of them; they are there as soon as there is a `status`. Raises GeneratorDied."""
        for index, member in enumerate(self.members):
            self._silent_until[index] = clock() + _START
            try:
                member.start()
            except OSError as error:
                raise GeneratorDied(f"{self._name(index)} could not be started: {error}") from error

    def stop(self) -> None:
        """End all connections, and all processes."""
        for member in self.members:
            member.request_stop()
        for member in self.members:
            member.stop()

    def tell(self, order: str, *arguments: Any) -> None:
        """Give an order (see `Generator`) to all of them."""
        self._orders += 1
        for member in self.members:
            member.tell(order, *arguments)

    def listen(self, timeout: float) -> None:
        """Hear what they say; returns after the first news, or after `timeout` seconds.

        Raises GeneratorDied.
        """
        try:
            index, told = self._heard.get(timeout=timeout)  # not for ever: Windows lets no signal into a wait
        except Empty:
            self._notice_silence()
            return
        while True:
            self._hear(index, told)
            try:
                index, told = self._heard.get_nowait()
            except Empty:
                break
        self._notice_silence()

    @property
    def status(self) -> Status | None:
        """How things stand with all; None while not all have started, or have obeyed all orders."""
        found = [status for status in self._statuses if status is not None and status.orders == self._orders]
        if len(found) < len(self.members):
            return None
        return Status(
            orders=self._orders,
            settled=all(status.settled for status in found),
            connected=sum(status.connected for status in found),
            playing=sum(status.playing for status in found),
            packets=sum(status.packets for status in found),
            waiting=-1 if any(status.waiting < 0 for status in found) else sum(status.waiting for status in found),
            measured_waiting=sum(status.measured_waiting for status in found),
            oldest=max(status.oldest for status in found),
            stale=-1 if any(status.stale < 0 for status in found) else sum(status.stale for status in found),
        )

    def report(self) -> Snapshot | None:
        """The next report of all of them added up, once it is there."""
        if not all(self._reports):
            return None
        return reduce(Snapshot.merge, [reports.popleft() for reports in self._reports])

    def _hear(self, index: int, told: Told | None) -> None:
        self._silent_until[index] = clock() + _SILENCE
        member = self.members[index]
        if isinstance(told, Status):
            self._statuses[index] = told
        elif isinstance(told, Snapshot):
            self._reports[index].append(told)
        elif told is not None:
            what = str(told) if isinstance(member, GeneratorProcess) else f"{type(told).__name__}: {told}"
            raise GeneratorDied(f"{self._name(index)} failed: {what}") from told
        elif isinstance(member, GeneratorProcess):
            raise GeneratorDied(f"{self._name(index)} {member.how_it_ended()}")

    def _notice_silence(self) -> None:
        now = clock()
        for index, until in enumerate(self._silent_until):
            if now > until and isinstance(self.members[index], GeneratorProcess):
                raise GeneratorDied(f"{self._name(index)} says nothing any more")

    def _name(self, index: int) -> str:
        one = isinstance(self.members[index], GeneratorProcess)
        return f"generator process {index + 1} of {len(self.members)}" if one else "the generator"
