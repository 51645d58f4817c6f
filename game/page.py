"""The HTTP server of the page with a server's numbers, which strangers can neither fill nor make talk.

The one that prometheus-client starts has a thread for each connection, waits on it for ever, and prints a traceback for each that its
peer resets; once it had all the descriptors, no player would come in any more.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import MetricsHandler

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = logging.getLogger("iocp.game")

MOST_CONNECTIONS: Final = 10
"""At once, and so threads: there are a few who look, every few seconds. More are closed at once."""
_MOST_SECONDS: Final = 10.0
"""That a connection lasts at most: its peer may also say a byte from time to time."""
_PAUSE: Final = 0.1
"""Seconds between two attempts to take a connection when none can be had."""


class _Look(MetricsHandler):
    """One request, and its answer."""

    timeout = 5.0
    """Seconds that a peer may say nothing, or take nothing."""

    def do_HEAD(self) -> None:  # noqa: N802  (http.server's name)
        """Whether there is a page."""
        self.send_response(200)
        self.end_headers()


class Page(ThreadingHTTPServer):
    """The page of what `registry` collects, at `host` and `port`, from `serve_forever` to `shutdown`. Raises OSError."""

    # On Windows this would let a second server have the same port, and half of the looks; elsewhere it is about connections of before.
    allow_reuse_address = sys.platform != "win32"
    request_queue_size = 128
    """With the 5 that are usual, some of those who come together wait for seconds, though they are taken, or closed, at once."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, address = found[0][0], found[0][4]
        self._room = threading.Semaphore(MOST_CONNECTIONS)
        self._ends: dict[socket.socket, float] = {}  # of the connections that have a thread: when their time is up
        self._lock = threading.Lock()
        super().__init__((str(address[0]), port), _Look.factory(registry))

    def get_request(self) -> tuple[socket.socket, Any]:
        """Take a connection."""
        try:
            return super().get_request()
        except OSError:
            # Without a free descriptor the connection goes on waiting, and the server would be here again at once, for as long.
            sleep(_PAUSE)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer it on a thread, if there is room."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._ends[request] = monotonic() + _MOST_SECONDS
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()  # There is no thread that would.
            raise

    def service_actions(self) -> None:
        """End the connections whose time is up; called by serve_forever, twice a second or more often."""
        now = monotonic()
        with self._lock:  # Without it, the number of a descriptor that was just closed could be another's by now.
            for request, end in self._ends.items():
                if end < now:
                    with suppress(OSError):
                        request.shutdown(socket.SHUT_RDWR)  # Its thread finds nothing more to read, and closes it.

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._ends.pop(request, None)
        super().shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """On that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that went, or came too late, is nothing to tell; the rest is a line in the log, whose number is limited."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.warning("metrics: a request failed: %r", error)
