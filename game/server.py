"""The chess server: packets in, the world changed, packets out (lecture rows 17 and 18, `wire.md`).

What is told to whom is the world's business (`view.py`); here packets are taken apart, connections become players, bad
input is dealt with, and the world's clock is driven by one timer of the port, which stands still while nobody plays.

Handlers of one server never run at the same time, on free-threaded Python neither, so nothing here takes a lock. A server with
`concurrent=True` is refused at its start. The game needs only `call_every` and `multicast` of the engine and `send`, `close`, `abort`, `id`,
`data` of sessions, so it runs as well over stand-ins for them, without a network (`replay.py`).

Bad input: a wish that is not granted (`Refusal`: off the board, into an obstacle, too fast ...) is answered with the true
position and counted; whoever keeps on is cut (`CHEATS`). All else that breaks the protocol (`Violation`) cuts that
one connection with `Reason.PROTOCOL`, is logged with its text, and counted by kind. A client that has
shown that it knows extended packets is told of a refused login by `login_fail`, then closed.

One name is on the board once: a later login under it takes over the piece where it stands, and the earlier connection
is told (`login_fail`, name taken) and closed. So a player whose connection hangs can come back at once.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import iocp

from .agenda import TICK
from .names import decode_chat, decode_name, encode_name, in_ascii
from .piece import Player
from .protocol import (
    CS_MOVE,
    CS_MOVE_TIMED,
    MAX_PACKET,
    Attack,
    Chat,
    Login,
    LoginFail,
    Logout,
    Move,
    Spectate,
    Teleport,
    ToServer,
    pack_login_fail,
    pack_login_ok,
    pack_spectating,
    pack_world,
    parse_client,
)
from .quantity import counted
from .survey import SPECTATE_EVERY, Survey
from .violation import ProtocolError, Violation
from .world import Refusal, World

log = logging.getLogger("iocp.game")

FRAMING: Final = iocp.Framing(length_bytes=1, counts_header=True, max_size=MAX_PACKET)
"""The lecture's framing, for servers and clients of this game (slide "packet format")."""
CHEATS: Final = 100.0
"""Refusals after which a session is cut. What comes too fast counts 1, a move against a wall, as every player makes, 0.2, or
nothing where moves have no limit; and `CHEATS_FORGIVEN` are forgiven each second."""
CHEATS_FORGIVEN: Final = 5.0

_UNPACK_MOVE = CS_MOVE.struct.unpack
_UNPACK_MOVE_TIMED = CS_MOVE_TIMED.struct.unpack
_TIMED_SIZE = CS_MOVE_TIMED.size
_MOVE_TYPE = int(ToServer.MOVE)


@dataclass(slots=True)
class Counts:
    """What the game counted since it started; connections and bytes are in `Engine.stats()`."""

    logins: int = 0
    most_online: int = 0
    online_at_stop: int = 0
    moves: int = 0
    """Accepted moves."""
    refused: Counter[Refusal] = field(default_factory=Counter)
    """Wishes that were not granted, by cause."""
    logouts: int = 0
    taken_over: int = 0
    """Logins under a name that was online."""
    turned_away: int = 0
    """Logins refused because the world was full."""
    violations: Counter[Violation] = field(default_factory=Counter)
    """Connections cut for breaking the protocol, by kind."""
    ticks: int = 0
    tick_lag: float = 0.0
    """Seconds by which the last tick came late."""
    most_tick_lag: float = 0.0


class ChessServer(iocp.Handler):
    """The game as a handler: `iocp.Server(ChessServer(World(400)), host, port, framing=FRAMING)`.

    world: the board, which from then on only this object may change.
    timed: what a client is sent until its first move shows its kind.
    name_encoding: the encoding of names on the wire, a Python codec's name.
    most_players: on the board at once; None for no limit. clock: seconds, from any start.
    most_spectators: players who may be told of the whole board at once, if they ask (`survey.py`).
    obstacles: the (percent, seed) that the world's terrain was made from; None if it came from a file. For clients that ask.
    """

    def __init__(
        self,
        world: World,
        *,
        timed: bool = True,
        name_encoding: str = "utf-8",
        most_players: int | None = None,
        most_spectators: int = 0,
        clock: Callable[[], float] = time.perf_counter,
        obstacles: tuple[int, int] | None = (0, 0),
    ) -> None:
        self.world = world
        self.counts = Counts()
        self.survey = Survey(world, most_spectators)
        self._timed_by_default = timed
        self._name_encoding = name_encoding
        self._most_players = most_players
        self._clock = clock
        self._obstacles = obstacles
        self._engine: iocp.Engine
        self._timer: iocp.Timer | None = None
        self._ticked_at = 0.0

    # The library's side

    def on_start(self, server: iocp.Engine) -> None:
        """The world's packets for many go through this engine. Raises ValueError for one whose handlers may overlap."""
        refuse_overlap(server)
        self._engine = server
        self.world.now = self._clock()
        self.world.attach(server)

    def on_connect(self, session: iocp.Session) -> None:
        """A connection; it is nobody until its login."""
        session.data = Player(session, self._timed_by_default)

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        """One whole packet of a client: the lecture's `PacketProcess(buf, client_id)`."""
        player: Player = session.data
        if player.gone:
            return
        self.world.now = self._clock()
        try:
            # Nearly all packets are moves, so they take the shortest way.
            size = len(packet)
            if size == _TIMED_SIZE and packet[1] == _MOVE_TYPE and player.online:
                _, _, direction, move_time = _UNPACK_MOVE_TIMED(packet)
                self._move(player, direction, move_time)
            else:
                self.process_packet(packet, player)
        except ProtocolError as error:
            self._cut(player, error)

    def logged_in(self, session: iocp.Session) -> bool:
        """Whether the login time-out is over for this connection."""
        player: Player = session.data
        return player.online

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        """Rules (e) and (f): whoever disconnects disappears for the others."""
        player: Player | None = session.data
        if player is not None:
            player.gone = True
            self.world.now = self._clock()
            self._leave(player, reason.name)
            # The two would keep each other until a collection of cycles.
            session.data = None

    def on_stop(self, server: iocp.Engine) -> None:
        """Note who is still here: their connections end before `stop()` returns."""
        self.counts.online_at_stop = len(self.world.players)
        self.world.now = self._clock()
        self.world.keep_all()
        if self._timer is not None:
            self._timer.cancel()

    # The world's clock

    def _start_ticking(self) -> None:
        if self._timer is None:
            self._ticked_at = self._clock()
            self._timer = self._engine.call_every(TICK, self._tick)

    def _tick(self) -> None:
        now = self._clock()
        counts = self.counts
        counts.tick_lag = max(0.0, now - self._ticked_at - TICK)
        counts.most_tick_lag = max(counts.most_tick_lag, counts.tick_lag)
        counts.ticks += 1
        self._ticked_at = now
        self.tick(now)
        if not self.world.busy and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self, now: float) -> None:
        """Let the world do what is due at `now`."""
        self.world.now = now
        self.world.run()
        self.survey.run(now)

    def install_script(self, script: str, text: str | None) -> None:
        """A script of the monsters changed; None: it is gone. Raises ScriptError, and then nothing has changed.

        Where handlers run.
        """
        self.world.now = self._clock()
        self.world.monsters.install(script, text)

    # The game

    def process_packet(self, packet: bytes, player: Player) -> None:
        """Do what a packet asks for. Raises ProtocolError for what must cut the connection."""
        request = parse_client(packet)
        if isinstance(request, Login):
            return self._login(player, request)
        if not player.online and not isinstance(request, Logout):
            raise ProtocolError(Violation.NOT_LOGGED_IN, f"{type(request).__name__.lower()} before login")
        if isinstance(request, Move):
            return self._move(player, request.direction, request.move_time)
        player.knows = max(player.knows, 1)
        if isinstance(request, Attack):
            self._refuse(player, None if self.world.combat.attack(player) else Refusal.TOO_FAST)
        elif isinstance(request, Chat):
            self._refuse(player, self.world.chat(player, decode_chat(request.text)))
        elif isinstance(request, Teleport):
            news: list[bytes] = []
            self._refuse(player, self.world.teleport(player, request.x, request.y, news))
            self._answer(player, 0, news)
        elif isinstance(request, Spectate):
            self._spectate(player, request.on)
        else:
            self._logout(player)

    def _login(self, player: Player, request: Login) -> None:
        if player.online:
            raise ProtocolError(Violation.SECOND_LOGIN, f"second login, as {request.name!r}")
        player.knows = max(player.knows, request.knows)
        name = decode_name(request.name, self._name_encoding)
        world, counts = self.world, self.counts
        before = world.names.get(name)
        if before is not None:
            counts.taken_over += 1
            self._turn_away(before, LoginFail.NAME_TAKEN, "somebody has logged in under your name")
        elif self._most_players is not None and len(world.players) >= self._most_players:
            counts.turned_away += 1
            log.warning("session %d from %s: world full", player.id, player.session.address[0])
            here = f"{counted(len(world.players), 'player')} {'is' if len(world.players) == 1 else 'are'} here, no more are let in"
            return self._turn_away(player, LoginFail.WORLD_FULL, here)
        if player.id in world.players:  # of one who has stayed while ids went round
            counts.turned_away += 1
            return self._turn_away(player, LoginFail.WORLD_FULL, "somebody has the number that you would get, come again")
        world.enter(player, name, encode_name(name, self._name_encoding), lambda: self._hello(player))
        counts.logins += 1
        counts.most_online = max(counts.most_online, len(world.players))
        self._start_ticking()
        log.info("%d %r logged in at %d,%d (%d online)", player.id, name, player.x, player.y, len(world.players))

    def _hello(self, player: Player) -> bytes:
        hello = pack_login_ok(player.id, player.x, player.y, player.health, player.level, player.exp)
        if player.knows < 2:
            return hello
        world = self.world
        percent, seed = (255, 0) if self._obstacles is None else self._obstacles
        return hello + pack_world(world.size, world.view.radius, percent, seed, world.terrain.checksum)

    def _move(self, player: Player, direction: int, move_time: int | None) -> None:
        timed = move_time is not None
        if timed is not player.timed:
            player.hear(timed, player.ticked)
        news: list[bytes] = []
        refusal = self.world.move(player, direction, news)
        if refusal is None:
            self.counts.moves += 1
        else:
            self._refuse(player, refusal)
        self._answer(player, move_time or 0, news)

    def _answer(self, player: Player, move_time: int, news: list[bytes]) -> None:
        """Send a player the `news` of others, and where it stands itself."""
        answer = player.moved(player.timed, move_time)
        if news:
            news.append(answer)
            answer = b"".join(news)
        player.session.send(answer)

    def _spectate(self, player: Player, on: bool) -> None:
        player.knows = max(player.knows, 3)
        survey, session, now = self.survey, player.session, self.world.now
        why = ""
        if not on:
            survey.dismiss(session)
        elif now < player.limits.next_spectate:
            self._refuse(player, Refusal.TOO_FAST)
            why = f"asked too soon: ask again in {SPECTATE_EVERY:g} s"
        else:
            player.limits.next_spectate = now + SPECTATE_EVERY
            why = survey.admit(session)
        watches = session in survey.spectators
        session.send(pack_spectating(watches, "" if watches else why))

    def _refuse(self, player: Player, refusal: Refusal | None) -> None:
        """Count a wish that was not granted. Raises ProtocolError if there were too many of late."""
        if refusal is None:
            return
        self.counts.refused[refusal] += 1
        if not self.world.move_interval and refusal is not Refusal.TOO_FAST:
            return  # Clients of the lab run into walls as fast as they can.
        now = self.world.now
        limits = player.limits
        forgiven = (now - limits.cheats_at) * CHEATS_FORGIVEN
        limits.cheats_at = now
        limits.cheats = max(0.0, limits.cheats - forgiven) + (1.0 if refusal is Refusal.TOO_FAST else 0.2)
        if limits.cheats > CHEATS:
            raise ProtocolError(Violation.CHEATING, f"{player.text_name!a} keeps cheating, lastly: {refusal}")

    def _logout(self, player: Player) -> None:
        player.gone = True
        if player.online:
            self.counts.logouts += 1
        self._leave(player, "logout")
        player.session.close()

    def _leave(self, player: Player, why: str) -> None:
        if player.online:
            self.survey.dismiss(player.session)
            self.world.leave(player)
            log.info("%d %r left: %s (%d online)", player.id, player.text_name, why, len(self.world.players))

    def _turn_away(self, player: Player, reason: LoginFail, text: str) -> None:
        """Close a connection whose login is refused or has ended, and say why if its client knows the packet."""
        player.gone = True
        self._leave(player, text)
        if player.knows:
            player.session.send(pack_login_fail(reason, text))
        # `close()` and not `abort()`, which would drop the answer.
        player.session.close()

    def _cut(self, player: Player, error: ProtocolError) -> None:
        session = player.session
        player.gone = True
        self.counts.violations[error.kind] += 1
        log.warning("session %d from %s cut: %s", session.id, session.address[0], in_ascii(str(error)))
        self._leave(player, "cut")
        if error.kind is Violation.BAD_NAME and player.knows:
            session.send(pack_login_fail(LoginFail.BAD_NAME, str(error)))
            session.close(iocp.Reason.PROTOCOL)
        else:
            session.abort(iocp.Reason.PROTOCOL)


def refuse_overlap(server: iocp.Engine) -> None:
    """Raises ValueError for an engine whose handlers may overlap."""
    if getattr(server, "concurrent", False):
        raise ValueError("the chess game takes no locks: give it a server with concurrent=False")
