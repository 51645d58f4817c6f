"""The native players and their sessions: one of each, for as long as the session lives."""

from __future__ import annotations

import threading

import iocp

from iocp.load.echo import echo

TIMEOUT = 30.0


class Joins(iocp.Handler):
    """Joins the crowd with each session that connects, and a second time; and once more when it has ended."""

    def __init__(self) -> None:
        self.crowd = echo().crowd(seed=1, interval=0.01, window=0)
        self.refused: list[str] = []
        self.over = threading.Event()

    def join(self, session: iocp.Session, number: int) -> None:
        try:
            self.crowd.join(session, number)
        except ValueError as error:
            self.refused.append(str(error))

    def on_connect(self, session: iocp.Session) -> None:
        self.join(session, 0)
        self.join(session, 1)
        self.join(session, 0)

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        self.crowd.part(session, False)
        self.join(session, 2)
        session.engine.post(self.after, session)

    def after(self, session: iocp.Session) -> None:
        self.join(session, 3)
        # Nobody of them is left: this looks at each.
        self.crowd.resume()
        self.over.set()


class Echo(iocp.Handler):
    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        session.send(packet)
        session.close()


def test_a_session_is_one_player_and_only_while_it_lives(backend: str, balanced: list[iocp.Engine]) -> None:
    server = iocp.Server(Echo(), backend=backend, workers=1)
    balanced.append(server)
    server.start()
    handler = Joins()
    client = iocp.Client(handler, backend=backend, workers=1)
    handler.crowd.attach(client)
    balanced.append(client)
    client.start()
    client.connect(*server.address)
    assert handler.over.wait(TIMEOUT)
    assert handler.refused == 2 * ["session is a player's already"] + 2 * ["session has ended"]
