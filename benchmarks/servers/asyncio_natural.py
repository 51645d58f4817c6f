"""An asyncio server as a user would naturally write it: packets are split by hand, each is answered with one write.

python asyncio_natural.py [--loop asyncio|uvloop|proactor|winloop] [--mode echo|fanout] [--port 0] [--compute US]
"""

from __future__ import annotations

import asyncio
from typing import cast

import event_loops


class Connection(asyncio.Protocol):
    """Cuts the stream into packets; byte 0 of each is its length, itself included."""

    everyone: set[asyncio.Transport] = set()
    compute = staticmethod(event_loops.busy(0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.rest = b""
        self.everyone.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.everyone.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        data = self.rest + data
        at = 0
        while at < len(data):
            size = data[at]
            if size == 0:
                self.transport.abort()
                return
            if at + size > len(data):
                break
            self.on_packet(data[at : at + size])
            at += size
        self.rest = data[at:]

    def on_packet(self, packet: bytes) -> None:
        raise NotImplementedError


class Echo(Connection):
    def on_packet(self, packet: bytes) -> None:
        self.transport.write(packet)


class ComputeAndEcho(Connection):
    def on_packet(self, packet: bytes) -> None:
        self.compute()
        self.transport.write(packet)


class Fanout(Connection):
    def on_packet(self, packet: bytes) -> None:
        for transport in self.everyone:
            transport.write(packet)


def main() -> None:
    parser = event_loops.parser(__doc__)
    parser.add_argument("--loop", choices=["asyncio", "uvloop", "proactor", "winloop"], default="asyncio")
    options = parser.parse_args()
    Connection.compute = staticmethod(event_loops.busy(options.compute))
    echo = ComputeAndEcho if options.compute else Echo
    event_loops.serve(options.loop, options.port, Fanout if options.mode == "fanout" else echo)


if __name__ == "__main__":
    main()
