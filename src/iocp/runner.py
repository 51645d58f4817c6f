"""`iocp.run()`: a server until Ctrl-C or SIGTERM, then a clean stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._iocpcore import Engine, Server, raise_open_files, route_console
from .handler import Handler
from .signals import calling_on_signals


@contextmanager
def stopping_on_signals(engine: Engine) -> Iterator[None]:
    """SIGINT, SIGTERM and, on Windows, Ctrl-Break ask `engine` to stop while the block runs.

    Only Python's main thread can install handlers; on any other this does nothing. A second signal ends the program the
    hard way, for handlers that never return.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with calling_on_signals(engine.request_stop, once=True):
        route_console(engine, True)
        try:
            yield
        finally:
            route_console(engine, False)


def run(handler: Handler, host: str = "127.0.0.1", port: int = 3500, **options: Any) -> None:
    """Serve until Ctrl-C or SIGTERM (Ctrl-Break on Windows), then stop cleanly and return.

    Raises the limit of open files to what this process may have. `options` are those of `Server`; with `workers=1` the calling
    thread is the only worker, and no other is made. Raises OSError if it cannot listen, ValueError and TypeError for wrong
    arguments.
    """
    raise_open_files()
    server = Server(handler, host, port, **options)
    with stopping_on_signals(server):
        serve(server)


def serve(server: Server) -> None:
    """Run `server` until it is asked to stop; on return it has stopped."""
    if server.workers == 1:
        server.run()
        return
    with server:
        server.wait()
