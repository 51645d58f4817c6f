"""Why a session ended: the one table that the core counts by and `on_disconnect` is told."""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """Why a session ended. Given to `Handler.on_disconnect`; the keys of `Stats.ended`.

    The numbers are the core's own (`src/_iocpcore/reason.pxi` has the same list, a test compares them).
    """

    CLOSED = 0
    """The program itself called `session.close()`."""
    PEER_CLOSED = 1
    """The peer closed its side (a receive of zero bytes, end of stream)."""
    PEER_RESET = 2
    """The peer reset the connection, or vanished (ERROR_NETNAME_DELETED, WSAECONNRESET, ECONNRESET)."""
    SERVER_STOPPED = 3
    """The server stopped while the session was open."""
    SYSTEM_ERROR = 4
    """The system reported another error; `session.error` holds it."""
    LENGTH_TOO_SMALL = 5
    """A packet's length field was smaller than its header."""
    LENGTH_TOO_LARGE = 6
    """A packet's length field was larger than `Framing.max_size`."""
    PROTOCOL = 7
    """The program cut the session because the peer broke its protocol: `session.abort()`."""
    HANDLER_ERROR = 8
    """A handler raised an exception while it worked for this session; the traceback is in the log."""
    PACKET_RATE = 9
    """More packets per second than `Limits.packets_per_second`."""
    LOGIN_TIMEOUT = 10
    """Not logged in within `Limits.login_timeout`."""
    IDLE_TIMEOUT = 11
    """No packet for `Limits.idle_timeout`."""
    SLOW_RECEIVER = 12
    """More bytes waiting for the peer than `Limits.queued_bytes`, or none taken for `Limits.send_timeout`."""
    TOO_MANY_SESSIONS = 13
    """Refused at accept: `Limits.sessions` were open. Counted only: no handler hears of it."""
    TOO_MANY_FROM_ADDRESS = 14
    """Refused at accept: `Limits.sessions_per_address` were open. Counted only: no handler hears of it."""
    CONNECT_FAILED = 15
    """An outgoing connection could not be made; `session.error` holds why."""
    CONNECT_TIMEOUT = 16
    """An outgoing connection was not made within its time-out."""
    OUT_OF_MEMORY = 17
    """The system had no memory or buffers left for this session (pitfall 7: shed one, keep the rest)."""
