"""A check that a server really echoes packets, however the network cuts them."""

from __future__ import annotations

import random
import socket

from process import Failed


def check_echo(host: str, port: int, seed: int = 1) -> None:
    """Send packets of many sizes in pieces of many sizes; the same bytes must come back. Raises Failed."""
    random_source = random.Random(seed)
    sizes = [2, 3, 255, 16, 127, 128] + [random_source.randint(2, 255) for _ in range(60)]
    sent = b"".join(bytes([size]) + random_source.randbytes(size - 1) for size in sizes)
    received = bytearray()
    with socket.create_connection((host, port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            # A byte at a time first: the length alone, then the rest of the packet in crumbs.
            for at in range(10):
                connection.sendall(sent[at : at + 1])
            at = 10
            while at < len(sent):
                piece = random_source.randint(1, 400)
                connection.sendall(sent[at : at + piece])
                at += piece
            while len(received) < len(sent):
                more = connection.recv(65536)
                if not more:
                    raise Failed(f"closed the connection after {len(received)} of {len(sent)} bytes of echo")
                received += more
        except OSError as error:
            raise Failed(f"echoed {len(received)} of {len(sent)} bytes: {error}") from None
    if received != sent:
        raise Failed("echoed other bytes than it was sent")
