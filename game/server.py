"""The chess server: packets in, the world changed, packets out (lecture rows 17 and 18, `wire.md`).

Everyone sees everyone: a player is sent an `enter` for each piece on the board when it logs in, and then every
other's enter, moves and leave. Timed and untimed clients (see `Client.timed`) get moves of different size, so there
are two groups, and a move is packed once for each group, whoever is in it.

Handlers of one server never run at the same time, so nothing here takes a lock. `ChessServer` must not be given to
a server with `concurrent=True`. It needs only `group()` of the engine and `send`, `close`, `abort`, `id`, `data` of
sessions, so it runs as well over stand-ins for them, without a network.

Bad input (issue 2, section 6): a move off the board or in no direction is answered with the true position, as
`wire.md` says, and counted in `Counts.refused`. All else that breaks the protocol (`Violation`) cuts that one
connection with `Reason.PROTOCOL`, is logged with its text, and counted by kind in `Counts.violations`. A client that
has shown that it knows extended packets is told of a refused name by `login_fail`, then closed.

A name that is online already may log in again: one live login per name comes with accounts.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import iocp

from .protocol import (
    MAX_PACKET,
    O_PLAYER,
    Login,
    LoginFail,
    Logout,
    Move,
    ProtocolError,
    ToServer,
    Violation,
    decode_name,
    encode_name,
    pack_enter,
    pack_leave,
    pack_login_fail,
    pack_login_ok,
    pack_move,
    pack_move_timed,
    parse_client,
)
from .world import Piece, World

log = logging.getLogger("iocp.game")

FRAMING: Final = iocp.Framing(length_bytes=1, counts_header=True, max_size=MAX_PACKET)
"""The lecture's framing, for servers and clients of this game (slide "packet format")."""


@dataclass(slots=True, eq=False)
class Client:
    """What the server keeps of one connection, in `session.data` (the lecture's session object)."""

    session: iocp.Session
    timed: bool
    """Whether it gets 14-byte moves: as the server was told, until its first move shows the client's kind."""
    extended: bool = False
    """Whether it has shown that it knows packet types above 3."""
    piece: Piece | None = None
    """Its piece, from login until it leaves."""
    name: bytes = b""
    """The name field of its piece, packed once."""
    gone: bool = False
    """It left or was cut: packets that were received with the last ones are ignored."""


@dataclass(slots=True)
class Counts:
    """What the game counted since it started; connections and bytes are in `Engine.stats()`."""

    logins: int = 0
    most_online: int = 0
    online_at_stop: int = 0
    moves: int = 0
    """Accepted moves."""
    refused: Counter[str] = field(default_factory=Counter)
    """Moves answered with an unchanged position, by cause."""
    logouts: int = 0
    violations: Counter[Violation] = field(default_factory=Counter)
    """Connections cut for breaking the protocol, by kind."""


class ChessServer(iocp.Handler):
    """The game as a handler: `iocp.Server(ChessServer(World(400)), host, port, framing=FRAMING)`.

    world: the board, which from then on only this object may change.
    timed: what a client is sent until its first move shows its kind.
    name_encoding: the encoding of names on the wire, a Python codec's name.
    """

    def __init__(self, world: World, *, timed: bool = True, name_encoding: str = "utf-8") -> None:
        self.world = world
        self.counts = Counts()
        self.online: dict[int, Client] = {}
        """Logged-in clients by their piece's id."""
        self._timed_by_default = timed
        self._name_encoding = name_encoding
        self._timed: iocp.Group
        self._untimed: iocp.Group

    # The library's side

    def on_start(self, server: iocp.Engine) -> None:
        """Make the two groups that see the board."""
        self._timed, self._untimed = server.group(), server.group()

    def on_connect(self, session: iocp.Session) -> None:
        """A connection; it is nobody until its login."""
        session.data = Client(session, self._timed_by_default)

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        """One whole packet of a client."""
        client: Client = session.data
        if client.gone:
            return
        try:
            self.process_packet(packet, client)
        except ProtocolError as error:
            self._cut(client, error)

    def logged_in(self, session: iocp.Session) -> bool:
        """Whether the login time-out is over for this connection."""
        client: Client = session.data
        return client.piece is not None

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        """Rules (e) and (f): whoever disconnects disappears for the others."""
        client: Client | None = session.data
        if client is not None:
            client.gone = True
            self._leave(client, reason.name)

    def on_stop(self, server: iocp.Engine) -> None:
        """Note who is still here: their connections end before `stop()` returns."""
        self.counts.online_at_stop = len(self.online)

    # The game

    def process_packet(self, packet: bytes, client: Client) -> None:
        """The lecture's `PacketProcess(buf, client_id)`. Raises ProtocolError for what must cut the connection."""
        request = parse_client(packet)
        if isinstance(request, Move):
            self._move(client, request)
        elif isinstance(request, Login):
            self._login(client, request)
        else:
            self._logout(client, request)

    def _login(self, client: Client, request: Login) -> None:
        if client.piece is not None:
            raise ProtocolError(Violation.SECOND_LOGIN, f"second login, as {request.name!r}")
        client.extended = client.extended or request.knows > 0
        name = decode_name(request.name, self._name_encoding)
        client.name = encode_name(name, self._name_encoding)
        piece = self.world.enter(client.session.id, name)
        client.piece = piece
        packets = [pack_login_ok(piece.id, piece.x, piece.y, piece.hp, piece.level, piece.exp)]
        # Rule (a): the newcomer sees the others. One send, so that it leaves in one piece however many they are.
        packets += [self._enter(other) for other in self.online.values()]
        client.session.send(b"".join(packets))
        # Rules (b) and (c): the others see the newcomer.
        enter = self._enter(client)
        self._timed.send(enter)
        self._untimed.send(enter)
        self._group(client).add(client.session)
        self.online[piece.id] = client
        self.counts.logins += 1
        self.counts.most_online = max(self.counts.most_online, len(self.online))
        log.info("%d %r logged in at %d,%d (%d online)", piece.id, name, piece.x, piece.y, len(self.online))

    def _move(self, client: Client, request: Move) -> None:
        piece = client.piece
        if piece is None:
            raise ProtocolError(Violation.NOT_LOGGED_IN, "move before login")
        timed = request.move_time is not None
        if timed != client.timed:
            self._group(client).discard(client.session)
            client.timed = timed
            self._group(client).add(client.session)
        id, session = piece.id, client.session
        if self.world.move(id, request.direction):
            self.counts.moves += 1
            # Rule (d): the others see the move.
            if len(self._timed):
                self._timed.send(pack_move_timed(id, piece.x, piece.y, 0), exclude=session)
            if len(self._untimed):
                self._untimed.send(pack_move(id, piece.x, piece.y), exclude=session)
        else:
            self.counts.refused["off the board" if 0 <= request.direction < 4 else "no direction"] += 1
        if request.move_time is None:
            session.send(pack_move(id, piece.x, piece.y))
        else:
            session.send(pack_move_timed(id, piece.x, piece.y, request.move_time))

    def _logout(self, client: Client, request: Logout) -> None:
        client.extended = True
        client.gone = True
        if client.piece is not None:
            self.counts.logouts += 1
        self._leave(client, "logout")
        client.session.close()

    def _leave(self, client: Client, why: str) -> None:
        piece = client.piece
        if piece is None:
            return
        client.piece = None
        self.online.pop(piece.id, None)
        self.world.leave(piece.id)
        self._group(client).discard(client.session)
        leave = pack_leave(piece.id)
        self._timed.send(leave)
        self._untimed.send(leave)
        log.info("%d %r left: %s (%d online)", piece.id, piece.name, why, len(self.online))

    def _cut(self, client: Client, error: ProtocolError) -> None:
        session = client.session
        client.gone = True
        self.counts.violations[error.kind] += 1
        log.warning("session %d from %s cut: %s", session.id, session.address[0], error)
        self._leave(client, "cut")
        if error.kind is Violation.BAD_NAME and client.extended:
            # `close()` and not `abort()`, which would drop the answer.
            session.send(pack_login_fail(LoginFail.BAD_NAME, str(error)))
            session.close(iocp.Reason.PROTOCOL)
        else:
            session.abort(iocp.Reason.PROTOCOL)

    def _group(self, client: Client) -> iocp.Group:
        return self._timed if client.timed else self._untimed

    def _enter(self, client: Client) -> bytes:
        piece = client.piece
        assert piece is not None
        return pack_enter(piece.id, client.name, O_PLAYER, piece.x, piece.y)
