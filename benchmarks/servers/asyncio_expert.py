"""An asyncio server as an expert would write it: writes joined per receive, in fan-out per turn of the loop.

python asyncio_expert.py [--loop asyncio|asyncio-select|uvloop|proactor|winloop] [--mode echo|fanout] [--port 0] [--compute US]

The program still gets every packet as one call, as a game would want it; what is saved is everything around it.
"""

from __future__ import annotations

import asyncio
from typing import cast

import event_loops


class Connection(asyncio.Protocol):
    """Cuts the stream into packets; byte 0 of each is its length, itself included."""

    __slots__ = ("rest", "transport", "write")
    compute = staticmethod(event_loops.busy(0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.write = self.transport.write  # looked up once, not once per packet
        self.rest = b""

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
            self.rest = b""
        end = len(data)
        at = 0
        on_packet = self.on_packet
        answers: list[bytes] = []
        while at < end:
            size = data[at]
            after = at + size
            if after > end:
                self.rest = data[at:]
                break
            if size == 0:
                self.transport.abort()
                return
            answer = on_packet(data[at:after])
            if answer:
                answers.append(answer)
            at = after
        if len(answers) == 1:
            self.write(answers[0])
        elif answers:
            self.write(b"".join(answers))

    def on_packet(self, packet: bytes) -> bytes | None:
        """The program's part: what to answer to a packet."""
        raise NotImplementedError


class Echo(Connection):
    __slots__ = ()

    def on_packet(self, packet: bytes) -> bytes | None:
        return packet


class ComputeAndEcho(Connection):
    __slots__ = ()

    def on_packet(self, packet: bytes) -> bytes | None:
        self.compute()
        return packet


class Fanout(Connection):
    """All that one turn of the loop has for everyone is joined once and written once to each."""

    __slots__ = ()
    everyone: dict[Fanout, asyncio.Transport] = {}
    waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.everyone[self] = self.transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.everyone.pop(self, None)

    def on_packet(self, packet: bytes) -> bytes | None:
        if not self.waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self.waiting.append(packet)
        return None

    @classmethod
    def flush(cls) -> None:
        joined = b"".join(cls.waiting)
        cls.waiting.clear()
        for transport in cls.everyone.values():
            transport.write(joined)


BUFFER = memoryview(bytearray(256 * 1024))


class Buffered(asyncio.BufferedProtocol):
    """The same over one receive buffer that all connections share: no allocation by the loop, one copy by us.

    asyncio's own loops allocate 256 KiB for each receive of a plain Protocol: over this one they echo three times as
    much. uvloop receives into a buffer of its own and is a few percent faster with a plain Protocol.
    """

    __slots__ = ("inner",)

    def __init__(self, inner: Connection) -> None:
        self.inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.inner.data_received(bytes(BUFFER[:nbytes]))


def main() -> None:
    parser = event_loops.parser(__doc__)
    parser.add_argument("--loop", choices=["asyncio", "asyncio-select", "uvloop", "proactor", "winloop"], default="asyncio")
    parser.add_argument("--receive", choices=["best", "plain", "buffered"], default="best", help="kind of protocol")
    options = parser.parse_args()
    Connection.compute = staticmethod(event_loops.busy(options.compute))
    echo = ComputeAndEcho if options.compute else Echo
    kind = Fanout if options.mode == "fanout" else echo
    buffered = options.receive == "buffered" or (options.receive == "best" and options.loop not in ("uvloop", "winloop"))
    event_loops.serve(options.loop, options.port, (lambda: Buffered(kind())) if buffered else kind)


if __name__ == "__main__":
    main()
