"""The server of this project, written as its README says.

python pyiocp_server.py [--mode echo|batch|fanout] [--workers 1] [--backend B] [--port 0] [--compute US]

echo: `on_packet`, one call and one `session.send` per packet. batch: `on_packets`, the packets of one receive at once.
The guards of a public server are off, because none of the peers has them.
"""

from __future__ import annotations

import signal

import event_loops
import iocp


class Echo(iocp.Handler):
    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        session.send(packet)


class ComputeAndEcho(iocp.Handler):
    def __init__(self, compute: float) -> None:
        self.compute = event_loops.busy(compute)

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        self.compute()
        session.send(packet)


class Batch(iocp.Handler):
    def on_packets(self, session: iocp.Session, packets: list[bytes]) -> None:
        session.send(b"".join(packets))


class Fanout(iocp.Handler):
    def on_start(self, server: iocp.Engine) -> None:
        self.broadcast = server.broadcast

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        self.broadcast(packet)


def handler(mode: str, compute: float) -> iocp.Handler:
    if mode == "fanout":
        return Fanout()
    if mode == "batch":
        return Batch()
    return ComputeAndEcho(compute) if compute else Echo()


def main() -> None:
    parser = event_loops.parser(__doc__, modes=("echo", "batch", "fanout"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--backend", choices=["iocp", "io_uring", "epoll"], default=None)
    options = parser.parse_args()
    server = iocp.Server(
        handler(options.mode, options.compute),
        "127.0.0.1",
        options.port,
        workers=options.workers,
        backend=options.backend,
        limits=iocp.Limits.none(),
    )
    signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
    with server:
        event_loops.announce(server.address, f"{server.backend}, {server.workers} worker{'s' * (server.workers > 1)}")
        try:
            server.wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
