"""What a public server allows: each guard with a default, each cut counted by its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


class _PublicDefault(int):
    """A default that is not applied to peers on a loopback address; a value the author gives always is.

    Load tests and local proxies bring thousands of connections from 127.0.0.1, which is no attack.
    """


@dataclass(frozen=True)
class Limits:
    """Guards of a server. None in a field: no limit. `Limits.none()` switches all of them off.

    Attributes:
        sessions: sessions open at once; more are refused at accept.
        sessions_per_address: of those, from one address (an IPv6 /64 counts as one). The default (256) leaves
            loopback addresses alone; a value you give holds for them too.
        packets_per_second: packets per second and session, averaged over a burst of two seconds' worth. The default
            (5,000) leaves loopback addresses alone; a value you give holds for them too.
        login_timeout: seconds from connecting until the session counts as logged in (see `Handler.logged_in`).
        idle_timeout: seconds without a whole packet from the peer.
        send_timeout: seconds in which the peer takes none of the bytes that wait for it. Without it, a session closed
            towards a peer that never reads keeps its queue until the server stops.
        queued_bytes: bytes waiting to be sent to one session, over which it is cut. A session with a quarter of that
            waiting is not read from until the peer has taken some, so that an echo to a slow reader does not grow.

    Raises ValueError or TypeError, naming the argument.
    """

    sessions: int | None = 65_536
    sessions_per_address: int | None = _PublicDefault(256)
    packets_per_second: float | None = _PublicDefault(5_000)
    login_timeout: float | None = 30.0
    idle_timeout: float | None = 600.0
    send_timeout: float | None = 30.0
    queued_bytes: int | None = 2 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{field.name} must be a number or None, not {value!r}")
            if field.name in ("sessions", "sessions_per_address", "queued_bytes") and not isinstance(value, int):
                raise TypeError(f"{field.name} must be an int or None, not {value!r}")
            if not math.isfinite(value) or value <= 0:
                raise ValueError(f"{field.name} must be positive (None for no limit), not {value!r}")
            if value > 1e15:
                raise ValueError(f"{field.name} is too large (None for no limit): {value!r}")

    @classmethod
    def none(cls) -> Limits:
        """No guard at all: for benchmarks and trusted networks."""
        return cls(**{field.name: None for field in fields(cls)})

    def spares_loopback(self, name: str) -> bool:
        """Whether field `name` still has its default and is therefore not applied to loopback peers."""
        return isinstance(getattr(self, name), _PublicDefault)
