"""A typed snapshot of a server's counters."""

from __future__ import annotations

from dataclasses import dataclass

from .reason import Reason


@dataclass(frozen=True)
class Stats:
    """Counters since the server was made, read without stopping the workers (each exact, not all at one instant).

    Times are in seconds, sizes in bytes.
    """

    backend: str
    """Its name: "iocp", "io_uring" or "epoll"."""
    workers: int
    """Worker threads."""
    uptime: float
    """Seconds since the engine was made."""
    sessions: int
    """Sessions open now (a session counts until its `on_disconnect` returned and its last operation completed)."""
    accepted: int
    """Connections accepted and not refused by a limit."""
    connected: int
    """Outgoing connections made."""
    ended: dict[Reason, int]
    """Sessions ended, and connections refused, by reason; reasons that never occurred are not in it."""
    accept_errors: int
    """Accepts that failed; each was issued again."""
    accept_retries: int
    """Times the accept pool waited because the system was out of descriptors or buffers."""
    bytes_received: int
    """Of all sessions."""
    bytes_sent: int
    """Taken by the system, of all sessions."""
    packets_received: int
    """Whole packets."""
    packets_queued: int
    """Packets given to `send`, to groups and to `broadcast`, counted once for each receiver."""
    receives: int
    """System calls that received bytes."""
    sends: int
    """System calls that sent bytes; packets_queued / sends is what coalescing saves."""
    queued_bytes: int
    """Bytes waiting to be sent now, over all sessions (a shared packet counts once for each receiver)."""
    batches: int
    """Turns of the workers' loops that had completions."""
    completions: int
    """Completions dequeued; completions / batches is what one turn has to do."""
    largest_batch: int
    """Most completions in one turn, 256 at most."""
    callbacks: int
    """Calls of handlers, of timers' functions and of what was posted."""
    callback_time: float
    """Seconds in which workers ran handlers, waiting for the interpreter lock not included."""
    handler_errors: int
    """Exceptions that they raised; each is in the log of `iocp`."""
    posted: int
    """Calls of `post`."""
    timers: int
    """Timers waiting now."""
    timers_fired: int
    """Calls that timers made."""
    ops_in_flight: int
    """Operations started whose completion has not been dequeued: 0 after stop."""
    buffers_in_use: int
    """Pooled buffers in use: 0 after stop."""
    buffers_allocated: int
    """Buffers ever taken from the system: constant in steady state."""
    paused: int
    """Sessions that are not being read from now, because their output waits."""
