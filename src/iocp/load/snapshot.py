"""What happened in one interval of a run. Snapshots of one process add up to its run, those of several processes to theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .server import ServerSample
from .times import Times

Phase = Literal["ramp", "hold", "drain"]
Positions = bytes
"""Pairs x, y of signed 16 bits each, in the machine's byte order."""


@dataclass
class Figures:
    """What was sent, and how long the answers took."""

    sent: int = 0
    answered: int = 0
    blocked: int = 0
    """Of the answered: moves after which the player stood where it had stood."""
    unanswered: int = 0
    """Given up: at the end, when the connection broke, or since later ones were answered."""
    skipped: int = 0
    """Planned and not sent, since the player had thousands unanswered."""
    pending: int = 0
    """Unanswered when its stage was over, though players went on: counted with its age."""
    planned: Times = field(default_factory=Times)
    """From the planned time of a send to its answer."""
    raw: Times = field(default_factory=Times)
    """From the real time of the send."""
    fanout: Times = field(default_factory=Times)
    """From the mover's planned time to the receipt by each other player who sees it."""
    lateness: Times = field(default_factory=Times)
    """From the planned time to the real one: the generator's own doing."""

    @classmethod
    def of(cls, read: dict[str, Any]) -> Figures:
        """From what the native generator reported."""
        times = {name: Times.of(read[name]) for name in ("planned", "raw", "fanout", "lateness")}
        return cls(read["sent"], read["answered"], read["blocked"], read["unanswered"], read["skipped"], 0, **times)

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.sent + other.sent,
            self.answered + other.answered,
            self.blocked + other.blocked,
            self.unanswered + other.unanswered,
            self.skipped + other.skipped,
            self.pending + other.pending,
            self.planned + other.planned,
            self.raw + other.raw,
            self.fanout + other.fanout,
            self.lateness + other.lateness,
        )


@dataclass
class Snapshot:
    """One interval. Everything is what was added in it, but for `at`, `playing`, `returning` and `course_delay`."""

    at: float
    """Seconds from the start of the run to the end of the interval."""
    seconds: float
    phase: Phase
    playing: int
    """Players logged in at its end."""
    stage: int = 0
    """Of a run with several stages, or of a search: which one, from 0."""
    wanted: int = 0
    """Players there are to be at this stage."""
    window: float = 0.0
    """Seconds of the measured window that ended with it, 0 for all others."""
    note: str = ""
    """Something for people to read: what became of a step of the search, in the first snapshot after it was judged."""
    started: int = 0
    """Connections begun."""
    churned: int = 0
    """Players that left, to come back."""
    returning: int = 0
    """... and were not back yet at its end."""
    packets: int = 0
    """Received, of all kinds."""
    received: int = 0
    """... since the measured window began."""
    bytes: int = 0
    relocated: int = 0
    """Players that the server put somewhere else of its own accord."""
    fanout_unmatched: int = 0
    """Moves of others that are in no latency, since no new send of theirs led there: told again, teleported, moved by the server."""
    errors: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """A sentence for each kind of violation so far, if there were any in this interval."""
    measured: Figures = field(default_factory=Figures)
    """Of sends planned within the measured window."""
    others: Figures = field(default_factory=Figures)
    """Of those before."""
    course_delay: int = 0
    """The smoothed delay that the course's StressTest shows, in milliseconds: one up or down with each answer."""
    cpu: float = 0.0
    """Seconds of processor time of the thread that sends and receives."""
    process_cpu: float = 0.0
    """... of the whole process."""
    positions: Positions = b""
    """Where players stand at its end, of some of them if there are many."""
    order_late: float = 0.0
    """Seconds by which the generator learnt of the measured window after that had begun."""
    server: ServerSample | None = None
    """The server's processor time and memory, if it runs on this machine."""

    def merge(self, other: Snapshot) -> Snapshot:
        """The same interval of another process added."""
        return Snapshot(
            at=max(self.at, other.at),
            seconds=max(self.seconds, other.seconds),
            phase=self.phase,
            playing=self.playing + other.playing,
            stage=self.stage,
            wanted=self.wanted,
            window=self.window,
            note=self.note,
            started=self.started + other.started,
            churned=self.churned + other.churned,
            returning=self.returning + other.returning,
            packets=self.packets + other.packets,
            received=self.received + other.received,
            bytes=self.bytes + other.bytes,
            relocated=self.relocated + other.relocated,
            fanout_unmatched=self.fanout_unmatched + other.fanout_unmatched,
            errors=self.errors + other.errors,
            violations=self.violations + other.violations,
            examples=other.examples | self.examples,
            measured=self.measured + other.measured,
            others=self.others + other.others,
            course_delay=max(self.course_delay, other.course_delay),
            cpu=max(self.cpu, other.cpu),
            process_cpu=self.process_cpu + other.process_cpu,
            positions=self.positions + other.positions,
            order_late=max(self.order_late, other.order_late),
            server=self.server or other.server,
        )


class Faulty(Protocol):
    """A part of a run: an interval, or what several came to."""

    errors: Counter[str]
    violations: Counter[str]


def faults_of(parts: Iterable[Faulty]) -> tuple[Counter[str], Counter[str]]:
    """Their errors and violations, added up by name."""
    errors: Counter[str] = Counter()
    violations: Counter[str] = Counter()
    for part in parts:
        errors += part.errors
        violations += part.violations
    return errors, violations
