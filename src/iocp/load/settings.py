"""What a run is to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .objective import Objective
from .protocol import Protocol

if TYPE_CHECKING:
    from .._iocpcore import Backend

CLIENTS_PER_SOURCE: Final = 12_000
"""Connections from one address: Windows has 16,384 ports for them, Linux 28,232, and some are in TIME_WAIT."""
PARTS_IN_A_SEARCH: Final = 3
"""In which the ports of an address are used in turn: players leave and come back, and each of their ports stays taken for a while."""
MAX_CLIENTS: Final = 1_000_000
MAX_PROCESSES: Final = 64
MAX_FIRST_PLAYER: Final = 1_000_000


@dataclass(frozen=True)
class Stage:
    """So many players, measured for so many seconds from when all have come."""

    clients: int
    seconds: float

    def __post_init__(self) -> None:
        if not 1 <= self.clients <= MAX_CLIENTS:
            raise ValueError(f"clients of a stage must be between 1 and {MAX_CLIENTS}, not {self.clients!r}")
        if not 0.001 <= self.seconds <= 1e7:
            raise ValueError(f"seconds of a stage must be between 0.001 and 1e+07, not {self.seconds!r}")


@dataclass(frozen=True)
class FindMax:
    """A search for the most players that hold `objectives`, see `search.py`.

    start: players of the first step. limit: never more than that. hold: seconds measured in a step. confirm_hold: ... in a
    confirmation. settle: seconds between the arrival of players and the measurement. precision: share of the interval at its end.
    confirmations: of each end.

    Raises ValueError naming the argument.
    """

    objectives: tuple[Objective, ...]
    start: int = 100
    limit: int = MAX_CLIENTS
    hold: float = 10.0
    confirm_hold: float = 30.0
    settle: float = 2.0
    precision: float = 0.03
    confirmations: int = 2

    def __post_init__(self) -> None:
        for name, least, most in (
            ("start", 1, MAX_CLIENTS),
            ("limit", 1, MAX_CLIENTS),
            ("hold", 0.001, 1e6),
            ("confirm_hold", 0.001, 1e6),
            ("settle", 0, 1e6),
            ("precision", 0, 1),
            ("confirmations", 1, 100),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least:g} and {most:g}, not {getattr(self, name)!r}")
        if self.start > self.limit:
            raise ValueError(f"start must be at most limit, {self.limit}, not {self.start}")
        if not any(objective.is_time for objective in self.objectives):
            raise ValueError("objectives must have a time, such as p99=100ms")


@dataclass(frozen=True)
class Settings:
    """One run against one server.

    host: an IP address. clients: players. rate: sends per second and player, on an open schedule; 0 only listens.
    window: sends each player keeps under way instead of a schedule, 0: not.
    duration: seconds of the measured window, which begins when all players are in. ramp: players that come (or go) per second, None:
    all at once. timeout: seconds for connecting, and for the answer to the login.
    stages: several numbers of players, one after the other, instead of `clients` and `duration`. find_max: a search instead.
    `clients` is then the most players there can be.
    processes: that share the players; each has one thread that sends.
    sources: addresses to connect from, in turn; () : the system's choice, or on a loopback host as many as the number of clients needs.
    churn: players per second that leave and come back. interval: seconds between snapshots.
    lateness_limit: seconds; a run in which more than 1 % of the sends were later than that is invalid.

    Raises ValueError naming the argument.
    """

    protocol: Protocol
    host: str
    port: int
    clients: int
    rate: float = 1.0
    window: int = 0
    duration: float = 30.0
    ramp: float | None = None
    timeout: float = 10.0
    seed: int = 1
    backend: Backend | None = None
    sources: tuple[str, ...] = ()
    churn: float = 0.0
    interval: float = 1.0
    lateness_limit: float = 0.010
    processes: int = 1
    stages: tuple[Stage, ...] = ()
    find_max: FindMax | None = None
    first_player: int = 0
    """The number of the first player: another load tool on the same server has others."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("port", 1, 65535),
            ("clients", 1, MAX_CLIENTS),
            ("rate", 0, 100_000),
            ("window", 0, 4096),
            ("duration", 0.001, 1e7),
            ("timeout", 0.001, 1e6),
            ("churn", 0, 1e6),
            ("interval", 0.01, 1e6),
            ("lateness_limit", 0.001, 1e6),
            ("processes", 1, MAX_PROCESSES),
            ("first_player", 0, MAX_FIRST_PLAYER),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least:g} and {most:g}, not {getattr(self, name)!r}")
        if self.ramp is not None and not 0 < self.ramp <= 1e6:
            raise ValueError(f"ramp must be over 0 players per second, not {self.ramp!r}")

        if self.stages and self.find_max:
            raise ValueError("stages and find_max cannot go together")
        most = self.find_max.limit if self.find_max else max((stage.clients for stage in self.stages), default=self.clients)
        if most > self.clients:
            raise ValueError(f"clients must be the most players there can be, {most}, not {self.clients}")
        if self.first_player + self.clients > self.protocol.most_players:
            raise ValueError(
                f"clients: the numbers of {self.clients:,} players from {self.first_player} on do not fit into the protocol's `number` of"
                f" {self.protocol.number.size if self.protocol.number else 0} digits"
            )

    def parameters(self) -> dict[str, Any]:
        """All that the run is asked to do, with the protocol's own parameters, as values that JSON has. Times are in seconds."""
        own = {name: value for name, value in vars(self).items() if name not in ("protocol", "sources", "stages", "find_max")}
        search = self.find_max
        return {
            "protocol": self.protocol.name,
            **{f"protocol_{name.replace(' ', '_')}": text for name, text in self.protocol.parameters().items()},
            **own,
            "sources": list(self.sources),
            "stages": [vars(stage) for stage in self.stages],
            "find_max": None if search is None else {**vars(search), "objectives": [str(one) for one in search.objectives]},
        }

    @property
    def plan(self) -> tuple[Stage, ...]:
        """The stages of a run that is no search: one, if nothing else is said."""
        return self.stages or (Stage(self.clients, self.duration),)

    def source_of(self, number: int) -> str | None:
        """The address that player `number` connects from; None: the system's choice."""
        if self.sources:
            return self.sources[number % len(self.sources)]
        needed = -(-self.clients // (CLIENTS_PER_SOURCE // PARTS_IN_A_SEARCH if self.find_max else CLIENTS_PER_SOURCE))
        if needed == 1 or not self.host.startswith("127."):
            return None
        index = number % needed + 1
        return f"127.0.{index // 250}.{index % 250 + 1}"
