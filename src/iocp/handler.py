"""The program's side of a server: what to do when a session connects, sends a packet, ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._iocpcore import Engine, Session
    from .reason import Reason


class Handler:
    """Base class of a program's callbacks. Override what you need.

    All of them run on the server's worker threads, by default never two at the same time, so that they need no
    locks, on free-threaded Python neither; with `concurrent=True` two sessions' callbacks may overlap, those of one session never do. An exception in
    one of them is logged with its traceback, counted, and cuts that session only (`Reason.HANDLER_ERROR`); KeyboardInterrupt and
    SystemExit end a `Server.run()`.
    A callback that blocks holds up the others: hand slow work to a thread and come back with `server.post()`.

    Instead of `on_packet` a subclass may define `on_packets(self, session, packets)`, which gets the list of all
    whole packets of one receive at once.
    """

    def on_start(self, server: Engine) -> None:
        """The server listens; called on the thread that starts it, before `start()` returns and before any other callback."""

    def on_connect(self, session: Session) -> None:
        """A connection was accepted, or one started by `connect()` was made. Nothing is received before this returns."""

    def on_packet(self, session: Session, packet: bytes) -> None:
        """One whole packet, header included, in the order in which it was sent."""

    def on_disconnect(self, session: Session, reason: Reason) -> None:
        """The session ended; called once for each session that had its `on_connect`, and for each failed `connect()`."""

    def logged_in(self, session: Session) -> bool:
        """Whether the session counts as logged in (`Limits.login_timeout`); asked after each of its packets until True.

        By default the first whole packet is enough.
        """
        return True

    def on_stop(self, server: Engine) -> None:
        """The server stops; sessions are still open and may be sent a last packet."""
