"""Ports for servers that come and go, ports that are taken, and connections that end with a reset."""

from __future__ import annotations

import random
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_RANDOM = random.SystemRandom()


def free_port() -> int:
    """One of 127.0.0.1 that no system gives to a connection or a listener by itself: it can be given up and taken again meanwhile."""
    while True:
        port = _RANDOM.randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # somebody has it
            return port


@contextmanager
def taken_port() -> Iterator[int]:
    """One of 127.0.0.1 that somebody else listens on meanwhile."""
    with socket.socket() as taken:
        if sys.platform == "win32":  # where a second listener would be let in
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def reset_when_closed(connection: socket.socket) -> None:
    """Its close() ends it with a reset instead of an orderly end."""
    # Linger of zero seconds. The structure's fields are shorter on Windows.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0))
