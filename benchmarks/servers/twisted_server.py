"""A Twisted server as a user would naturally write it, on the reactor that Twisted takes by default.

python twisted_server.py [--mode echo|fanout] [--port 0] [--compute US]
"""

from __future__ import annotations

import event_loops
from twisted.internet import protocol, reactor


class Connection(protocol.Protocol):
    """Cuts the stream into packets; byte 0 of each is its length, itself included."""

    everyone: set[Connection] = set()
    compute = staticmethod(event_loops.busy(0))

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.rest = b""
        self.everyone.add(self)

    def connectionLost(self, reason: object = None) -> None:
        self.everyone.discard(self)

    def dataReceived(self, data: bytes) -> None:
        data = self.rest + data
        at = 0
        while at < len(data):
            size = data[at]
            if size == 0:
                self.transport.abortConnection()
                return
            if at + size > len(data):
                break
            self.onPacket(data[at : at + size])
            at += size
        self.rest = data[at:]

    def onPacket(self, packet: bytes) -> None:
        raise NotImplementedError


class Echo(Connection):
    def onPacket(self, packet: bytes) -> None:
        self.transport.write(packet)


class ComputeAndEcho(Connection):
    def onPacket(self, packet: bytes) -> None:
        self.compute()
        self.transport.write(packet)


class Fanout(Connection):
    def onPacket(self, packet: bytes) -> None:
        for connection in self.everyone:
            connection.transport.write(packet)


def main() -> None:
    options = event_loops.parser(__doc__).parse_args()
    Connection.compute = staticmethod(event_loops.busy(options.compute))
    echo = ComputeAndEcho if options.compute else Echo
    factory = protocol.Factory.forProtocol(Fanout if options.mode == "fanout" else echo)
    port = reactor.listenTCP(options.port, factory, backlog=event_loops.BACKLOG, interface="127.0.0.1")
    event_loops.announce(("127.0.0.1", port.getHost().port))
    reactor.run()


if __name__ == "__main__":
    main()
