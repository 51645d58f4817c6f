"""Ports for servers that come and go."""

from __future__ import annotations

import random
import socket

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
