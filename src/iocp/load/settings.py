"""What a run is to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .protocol import Protocol

if TYPE_CHECKING:
    from .._iocpcore import Backend

CLIENTS_PER_SOURCE: Final = 12_000
"""Connections from one address: Windows has 16,384 ports for them, Linux 28,232, and some are in TIME_WAIT."""
MAX_CLIENTS: Final = 1_000_000


@dataclass(frozen=True)
class Settings:
    """One run against one server.

    host: an IP address. clients: players. rate: sends per second and player, on an open schedule; 0 only listens.
    window: sends each player keeps under way instead of a schedule, 0: not.
    duration: seconds of the measured window, which begins when all players are in. ramp: players that come per second, None: all at
    once. timeout: seconds for connecting, and for the answer to the login.
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
    first_player: int = field(default=0)
    """The number of the first player: other processes have others."""

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
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least:g} and {most:g}, not {getattr(self, name)!r}")
        if self.ramp is not None and not 0 < self.ramp <= 1e6:
            raise ValueError(f"ramp must be over 0 players per second, not {self.ramp!r}")

    def source_of(self, number: int) -> str | None:
        """The address that player `number` connects from; None: the system's choice."""
        if self.sources:
            return self.sources[number % len(self.sources)]
        needed = -(-self.clients // CLIENTS_PER_SOURCE)
        if needed == 1 or not self.host.startswith("127."):
            return None
        index = number % needed + 1
        return f"127.0.{index // 250}.{index % 250 + 1}"
